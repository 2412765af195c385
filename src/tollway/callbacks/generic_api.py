"""Any HTTP server that takes `StandardLoggingPayload`s.

Wire contract: callbacks-and-guardrails §2 (`generic_api`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Self

import msgspec

from tollway.callbacks._kit import Client, checked_url, needed
from tollway.core.errors import Misconfigured
from tollway.ports.callbacks import Event

NAMES = ("generic_api",)
VARIABLES: Mapping[str, str | None] = {
    "endpoint": "GENERIC_LOGGER_ENDPOINT",
    "headers": "GENERIC_LOGGER_HEADERS",
    "log_format": None,
}
_FORMATS = ("json_array", "ndjson", "single")
_encode = msgspec.json.Encoder().encode


class GenericApi:
    """Posts batches as a JSON array, as lines, or each call by itself."""

    def __init__(self, endpoint: str, headers: Mapping[str, str], log_format: str) -> None:
        self._endpoint = endpoint
        self._format = log_format
        content_type = "application/x-ndjson" if log_format == "ndjson" else "application/json"
        self._headers = {"Content-Type": content_type, **headers}
        self._client = Client(title="generic_api", check="GENERIC_LOGGER_ENDPOINT and GENERIC_LOGGER_HEADERS")

    @classmethod
    def open(cls, variables: Mapping[str, str]) -> Self:
        """Raises `Misconfigured` naming what is missing, or wrong."""
        endpoint = needed(variables, "endpoint", title="generic_api", environment="GENERIC_LOGGER_ENDPOINT")
        log_format = variables.get("log_format") or "json_array"
        if log_format not in _FORMATS:
            raise Misconfigured(f"generic_api: log_format is one of {', '.join(_FORMATS)}", param="log_format")
        headers = parse_headers(variables.get("headers") or "")
        return cls(checked_url(endpoint, name="GENERIC_LOGGER_ENDPOINT"), headers, log_format)

    async def deliver(self, events: Sequence[Event]) -> None:
        """See `Destination`."""
        if self._format == "single":
            for event in events:
                await self._post(_encode(event.payload))
        elif self._format == "ndjson":
            await self._post(b"".join(_encode(event.payload) + b"\n" for event in events))
        else:
            await self._post(_encode([event.payload for event in events]))

    async def close(self) -> None:
        """See `Destination`."""
        await self._client.close()

    async def _post(self, body: bytes) -> None:
        await self._client.send(self._endpoint, body, self._headers)


def parse_headers(text: str) -> dict[str, str]:
    """`name=value,other=value`. Raises `Misconfigured`."""
    headers: dict[str, str] = {}
    for pair in filter(None, (one.strip() for one in text.split(","))):
        name, equals, value = pair.partition("=")
        if not equals or not name.strip() or "\n" in pair or "\r" in pair:
            raise Misconfigured("GENERIC_LOGGER_HEADERS: write name=value,name2=value2", param="headers")
        headers[name.strip()] = value.strip()
    return headers
