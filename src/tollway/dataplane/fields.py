"""Reading the gateway's own fields of a body."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from tollway.core.errors import InvalidRequest


def decoded(values: Mapping[str, msgspec.Raw], name: str, kind: Any, expected: str) -> Any:
    """The value of a field; None where it is not given. Raises `InvalidRequest`: it must be what is `expected`."""
    if name not in values:
        return None
    try:
        return msgspec.json.decode(values[name], type=kind)
    except msgspec.DecodeError:
        raise InvalidRequest(f"'{name}' must be {expected}.", param=name) from None
