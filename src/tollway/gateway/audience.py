"""Who is told about a call once it has ended, and what they are told: found before it is asked, only if somebody is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tollway.core.reporting import Report
from tollway.gateway.received import Received

if TYPE_CHECKING:
    from tollway.gateway.call import Call

_DISABLED_BY = b"x-litellm-disable-callbacks"
_REDACTED_BY = (b"x-litellm-enable-message-redaction", b"litellm-enable-message-redaction")


class Audience:
    """Of one call."""

    __slots__ = ("answer", "redacts", "reports")

    def __init__(self, reports: tuple[Report, ...], *, redacts: bool) -> None:
        self.reports = reports
        self.redacts = redacts
        """Messages and answer are told to none of them."""
        self.answer = Received()
        """What the client gets."""


def audience_of(call: Call) -> Audience | None:
    """None: nobody is told."""
    settings, headers = call.settings, call.headers
    if not settings.ignores_no_log and bytes(call.request.fields.get("no-log", b"")) == b"true":
        return None
    reports = (*settings.reports, *call.principal.reports)
    if settings.callers_disable_callbacks:
        named = headers.get(_DISABLED_BY, b"").decode("latin-1")
        off = {one.strip().lower() for one in named.split(",")}
        of_key = call.principal.metadata.get("litellm_disabled_callbacks")
        if isinstance(of_key, list):
            off.update(str(one).lower() for one in of_key)
        reports = tuple(one for one in reports if one.name not in off)
    if not reports:
        return None
    redacts = settings.redacts_messages or any(headers.get(name, b"").lower() == b"true" for name in _REDACTED_BY)
    return Audience(reports, redacts=redacts)
