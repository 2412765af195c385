"""OpenTelemetry: a span for each call to a collector, by OTLP over HTTP in JSON.

https://opentelemetry.io/docs/specs/otlp/#otlphttp (2026-11-26). The variables are those of
https://opentelemetry.io/docs/specs/otel/protocol/exporter/, and the contract's older ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self
from urllib.parse import unquote

import msgspec

from tollway import __version__
from tollway.callbacks._kit import Client, checked_url
from tollway.callbacks._spans import attributes_of, spans
from tollway.core.errors import Misconfigured
from tollway.ports.callbacks import Event

NAMES = ("otel",)
VARIABLES: Mapping[str, str | None] = {
    "otel_exporter_otlp_traces_endpoint": "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "otel_exporter_otlp_endpoint": "OTEL_EXPORTER_OTLP_ENDPOINT",
    "otel_endpoint": "OTEL_ENDPOINT",
    "otel_exporter_otlp_traces_headers": "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
    "otel_exporter_otlp_headers": "OTEL_EXPORTER_OTLP_HEADERS",
    "otel_headers": "OTEL_HEADERS",
    "otel_exporter": "OTEL_EXPORTER",
    "otel_exporter_otlp_protocol": "OTEL_EXPORTER_OTLP_PROTOCOL",
    "otel_service_name": "OTEL_SERVICE_NAME",
    "otel_environment_name": "OTEL_ENVIRONMENT_NAME",
    "otel_instrumentation_genai_capture_message_content": "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT",
}

_TITLE = "The OpenTelemetry collector"
_CHECK = "OTEL_EXPORTER_OTLP_ENDPOINT and OTEL_EXPORTER_OTLP_HEADERS"
_PATH = "/v1/traces"
_SPOKEN = frozenset({"", "otlp_http", "http/json", "http/protobuf"})
"""Collectors take JSON and protobuf at one address."""
_WITH_CONTENT = frozenset({"true", "span_only", "span_and_event"})

_encode = msgspec.json.Encoder(enc_hook=str).encode


def nothing_more(event: Event) -> Mapping[str, Any]:
    """No attributes besides the usual ones."""
    return {}


class OpenTelemetry:
    """Ids of spans follow from those of the calls: telling twice tells the same."""

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str],
        *,
        service_name: str = "tollway",
        environment: str | None = None,
        has_content: bool = False,
        more: Callable[[Event], Mapping[str, Any]] = nothing_more,
        title: str = _TITLE,
        check: str = _CHECK,
    ) -> None:
        """`has_content`: spans hold question and answer. `more`: attributes of a call besides the usual ones."""
        self._url = url
        self._headers = {**headers, "Content-Type": "application/json"}
        described = {"service.name": service_name, "deployment.environment.name": environment}
        self._resource = {"attributes": attributes_of(described)}
        self._has_content = has_content
        self._more = more
        self._title = title
        self._client = Client(title=title, check=check)

    @classmethod
    def open(cls, variables: Mapping[str, str]) -> Self:
        """Raises `Misconfigured` naming what is missing, or not spoken."""
        for name in ("otel_exporter", "otel_exporter_otlp_protocol"):
            if variables.get(name, "").lower() not in _SPOKEN:
                raise Misconfigured(
                    f"{name.upper()}: spans are sent by OTLP over HTTP; set otlp_http, and the collector's "
                    "HTTP address, usually port 4318",
                    param=name,
                )
        content = variables.get("otel_instrumentation_genai_capture_message_content", "")
        return cls(
            _address(variables),
            _headers(variables),
            service_name=variables.get("otel_service_name") or "tollway",
            environment=variables.get("otel_environment_name") or None,
            has_content=content.lower() in _WITH_CONTENT,
        )

    async def deliver(self, events: Sequence[Event]) -> None:
        """Sends them all at once. Raises `UpstreamError`, and `Misconfigured` too where some spans were not taken."""
        told = [
            span for event in events for span in spans(event, more=self._more(event), has_content=self._has_content)
        ]
        scope = {"scope": {"name": "tollway", "version": __version__}, "spans": told}
        body = _encode({"resourceSpans": [{"resource": self._resource, "scopeSpans": [scope]}]})
        answer = await self._client.send(self._url, body, self._headers)
        if rejected := _rejected(answer.body):
            raise Misconfigured(f"{self._title} did not take {rejected} of {len(told)} spans; its log says why")

    async def close(self) -> None:
        """See `Destination`."""
        await self._client.close()


def _address(variables: Mapping[str, str]) -> str:
    """The address for traces as it is; others are what the path for traces follows, if it does not yet."""
    whole = variables.get("otel_exporter_otlp_traces_endpoint")
    base = whole or variables.get("otel_exporter_otlp_endpoint") or variables.get("otel_endpoint")
    if not base:
        raise Misconfigured(
            f"{_TITLE}: nobody says where it is; set OTEL_EXPORTER_OTLP_ENDPOINT, such as http://localhost:4318",
            param="otel_exporter_otlp_endpoint",
        )
    url = checked_url(base, name="OTEL_EXPORTER_OTLP_ENDPOINT")
    return url if whole or url.rstrip("/").endswith(_PATH) else url.rstrip("/") + _PATH


def _headers(variables: Mapping[str, str]) -> dict[str, str]:
    """`name=value,name=value`, values escaped as in URLs."""
    names = ("otel_exporter_otlp_traces_headers", "otel_exporter_otlp_headers", "otel_headers")
    given = next((variables[name] for name in names if variables.get(name)), "")
    headers = {}
    for pair in filter(None, (piece.strip() for piece in given.split(","))):
        name, equals, value = pair.partition("=")
        if not equals or not name.strip():
            raise Misconfigured("OTEL_EXPORTER_OTLP_HEADERS: write name=value, and a comma between two", param=names[1])
        headers[name.strip()] = unquote(value.strip())
    return headers


def _rejected(answer: bytes) -> int:
    """How many spans were not taken, of an answer that is a success for the rest."""
    try:
        partial = msgspec.json.decode(answer).get("partialSuccess") or {}
        return int(partial.get("rejectedSpans") or 0)
    except (msgspec.DecodeError, AttributeError, ValueError):
        return 0  # it need not be JSON
