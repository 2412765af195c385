"""Why an answer ended, in Google's words and in ours.

Source: https://ai.google.dev/api/generate-content#FinishReason, checked 2026-11-26.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tollway.dialects.generation.answer import StopReason
from tollway.dialects.generation.request import Json

STOP_REASONS: dict[str, StopReason] = {
    "STOP": "end",
    "MAX_TOKENS": "length",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "LANGUAGE": "content_filter",
    "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter",
    "MODEL_ARMOR": "content_filter",
    "IMAGE_SAFETY": "content_filter",
    "IMAGE_PROHIBITED_CONTENT": "content_filter",
    "IMAGE_RECITATION": "content_filter",
}
"""Any other is an end that the model came to, good or bad: `MALFORMED_FUNCTION_CALL`, `OTHER`, …"""
_FINISH_REASONS: dict[StopReason, str] = {
    "end": "STOP",
    "length": "MAX_TOKENS",
    "tool_use": "STOP",
    "stop_sequence": "STOP",
    "content_filter": "SAFETY",
    "refusal": "SAFETY",
    "pause": "STOP",
    "context": "MAX_TOKENS",
}
PLAIN = frozenset({"STOP", "MAX_TOKENS"})
"""Those that need no more words."""


def stop_reason(finish_reason: str, *, has_calls: bool) -> StopReason:
    """Google says `STOP` after calls of functions too; servers that imitate it may say `FUNCTION_CALL`."""
    reason = STOP_REASONS.get(finish_reason, "end")
    return "tool_use" if has_calls and reason == "end" else reason


def finish_fields(reason: StopReason, details: Json | None) -> dict[str, Any]:
    """`finishReason` and what is said about it. `details` that came from Gemini are written back."""
    found = _details(details)
    if "finishReason" in found:
        return found
    return {"finishReason": _FINISH_REASONS[reason]}


def prompt_feedback(details: Json | None) -> Json | None:
    """What Gemini said in place of an answer, if it did."""
    return _details(details).get("promptFeedback")


def _details(details: Json | None) -> dict[str, Json]:
    return {} if details is None else msgspec.json.decode(details, type=dict[str, Json])
