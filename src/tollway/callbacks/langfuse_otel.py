"""Langfuse by its OpenTelemetry endpoint: spans with Langfuse's own attributes.

https://langfuse.com/integrations/native/opentelemetry#property-mapping (2026-11-26).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Self

from tollway.callbacks._spans import json_text
from tollway.callbacks._trace import costs, failure, moment, parameters, said, tags, text, token_classes
from tollway.callbacks.langfuse import CHECK, TITLE, address, authorization, details
from tollway.callbacks.langfuse import VARIABLES as LANGFUSE
from tollway.callbacks.otel import OpenTelemetry
from tollway.callbacks.payload import REDACTED
from tollway.ports.callbacks import Event

NAMES = ("langfuse_otel",)
VARIABLES: Mapping[str, str | None] = {**LANGFUSE, "langfuse_otel_host": "LANGFUSE_OTEL_HOST"}

_PATH = "/api/public/otel/v1/traces"


class LangfuseOtel:
    """A collector at Langfuse."""

    def __init__(self, collector: OpenTelemetry) -> None:
        self._collector = collector

    @classmethod
    def open(cls, variables: Mapping[str, str]) -> Self:
        """Raises `Misconfigured` naming what is missing."""
        host = variables.get("langfuse_otel_host") or variables.get("langfuse_host")
        fixed = {
            "langfuse.environment": variables.get("langfuse_environment"),
            "langfuse.release": variables.get("langfuse_release"),
        }
        return cls(
            OpenTelemetry(
                address(host, _PATH),
                {"Authorization": authorization(variables)},
                more=partial(_attributes, fixed),
                title=TITLE,
                check=CHECK,
            )
        )

    async def deliver(self, events: Sequence[Event]) -> None:
        """Sends them all at once. Raises `UpstreamError` and `Misconfigured`."""
        await self._collector.deliver(events)

    async def close(self) -> None:
        """Lets go of what the collector holds."""
        await self._collector.close()


def _attributes(fixed: Mapping[str, Any], event: Event) -> dict[str, Any]:
    told, record = said(event), event.record
    asked = REDACTED if told.get("mask_input") is True else json_text(event.payload.get("messages"))
    answered = REDACTED if told.get("mask_output") is True else json_text(event.payload.get("response"))
    common = {
        "langfuse.trace.name": text(told, "trace_name") or f"litellm-{record.call_type}",
        "langfuse.user.id": text(told, "trace_user_id") or record.end_user,
        "langfuse.session.id": text(told, "session_id") or record.session_id,
        "langfuse.trace.tags": tags(event),
        "langfuse.trace.metadata": json_text(told.get("trace_metadata")),
        "langfuse.version": text(told, "version"),
    }
    own = {
        "langfuse.observation.type": "generation",
        "langfuse.observation.input": asked,
        "langfuse.observation.output": answered,
        "langfuse.observation.model.name": record.model or record.model_group,
        "langfuse.observation.model.parameters": json_text(parameters(event)),
        "langfuse.observation.usage_details": json_text(token_classes(record)),
        "langfuse.observation.cost_details": json_text(costs(event)),
        "langfuse.observation.completion_start_time": moment(record.first_token_at) if record.first_token_at else None,
        "langfuse.observation.level": "DEFAULT" if record.is_success else "ERROR",
        "langfuse.observation.status_message": failure(event),
        "langfuse.observation.metadata": json_text(details(event)),
    }
    release = text(told, "trace_release", "release")
    return {**fixed, **common, **own, **({"langfuse.release": release} if release else {})}
