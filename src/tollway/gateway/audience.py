"""Who is told about a call once it has ended, and what they are told: found before it is asked, only if somebody is."""

from __future__ import annotations

from tollway.gateway.call import Call
from tollway.gateway.received import Audience

_DISABLED_BY = b"x-litellm-disable-callbacks"
_REDACTED_BY = (b"x-litellm-enable-message-redaction", b"litellm-enable-message-redaction")


def audience_of(call: Call) -> Audience | None:
    """None: nobody is told."""
    settings, headers = call.settings, call.headers
    if call.controls.is_unreported and not settings.ignores_no_log:
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
