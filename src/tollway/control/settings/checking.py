"""What may be sent: names, and values that are for whoever starts the gateway to decide."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tollway.config.findings import Findings
from tollway.config.keys import GENERAL, TOP
from tollway.config.keys.over_api import ENVIRONMENT, withheld
from tollway.config.located import locate
from tollway.config.problem import nearest
from tollway.control.kit.stored import invalid
from tollway.core.errors import Forbidden, InvalidRequest

_NAME_LENGTH = 255
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def check_sections(unknown: Mapping[str, Any]) -> None:
    """Raises for a section that is probably mistyped, or that is none to be stored."""
    findings = Findings()
    findings.check_names(locate(dict.fromkeys(unknown), ""), TOP, "")
    if findings.problems:
        raise invalid(findings.problems)
    for name in unknown:
        if name in TOP.by_name:
            raise InvalidRequest(
                f"{name} is read from the configuration file alone. Set it there.",
                param=name,
                type="bad_request_error",
            )


def check_names(section: str, sent: Mapping[str, Any]) -> None:
    """Raises for a name that cannot be one, and for a setting that is not taken over the API."""
    for name, value in sent.items():
        path = f"{section}.{name}"
        is_name = _VARIABLE.fullmatch(name) if section == ENVIRONMENT else name
        if not is_name or len(name) > _NAME_LENGTH:
            raise InvalidRequest(
                f"{section} has a name that cannot be one: give 1 to {_NAME_LENGTH} characters"
                + (", letters, digits and underscores." if section == ENVIRONMENT else "."),
                param=section,
                type="bad_request_error",
            )
        if value is not None and (reason := withheld(section, name, value)) is not None:
            raise Forbidden(
                f"{path} is not set over the API: {reason}. Set it where the gateway is started: in the configuration "
                "file, the environment or a flag.",
                param=path,
                type="bad_request_error",
                status=400,
            )


def check_field(name: str) -> None:
    """Raises unless this is a setting of the server."""
    if GENERAL.find(name) is None or "*" in name:
        meant = nearest(name[:_NAME_LENGTH], GENERAL.by_name)
        raise InvalidRequest(
            f"Invalid field={name[:100]} passed in." + (f" Did you mean {meant}?" if meant else ""),
            param="field_name",
            type="bad_request_error",
        )
