"""Langfuse by its public API: a trace and a generation for each call, with the contract's names for both.

`POST /api/public/ingestion` takes batches of 3.5 MB and answers 207 with an error for each event that it refuses:
https://api.reference.langfuse.com/#tag/ingestion (2026-11-26).
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Self

import msgspec

from tollway.callbacks._kit import Client, checked_url, needed
from tollway.callbacks._trace import costs, failure, moment, parameters, said, tags, text, token_classes, trace_id
from tollway.callbacks.payload import REDACTED
from tollway.core.errors import Misconfigured, UpstreamError
from tollway.ports.callbacks import Event

NAMES = ("langfuse",)
VARIABLES: Mapping[str, str | None] = {
    "langfuse_public_key": "LANGFUSE_PUBLIC_KEY",
    "langfuse_secret_key": "LANGFUSE_SECRET_KEY",
    "langfuse_secret": None,
    "langfuse_host": "LANGFUSE_HOST",
    "langfuse_environment": "LANGFUSE_TRACING_ENVIRONMENT",
    "langfuse_release": "LANGFUSE_RELEASE",
}

_CLOUD = "https://cloud.langfuse.com"
TITLE = "Langfuse"
CHECK = "langfuse_host and both keys"
_BATCH_BYTES = 3_000_000
"""Below what a batch may have, with its brackets."""
_TOO_LONG = "left out by the gateway: too long for one event"

_encode = msgspec.json.Encoder(enc_hook=str).encode


class Langfuse:
    """Ids follow from those of the calls, so that a batch that comes twice counts once."""

    def __init__(self, url: str, authorization: str, *, environment: str | None, release: str | None) -> None:
        self._url = url
        self._headers = {"Authorization": authorization, "Content-Type": "application/json"}
        self._environment = environment
        self._release = release
        self._client = Client(title=TITLE, check=CHECK)

    @classmethod
    def open(cls, variables: Mapping[str, str]) -> Self:
        """Raises `Misconfigured` naming what is missing."""
        return cls(
            address(variables.get("langfuse_host"), "/api/public/ingestion"),
            authorization(variables),
            environment=variables.get("langfuse_environment") or None,
            release=variables.get("langfuse_release") or None,
        )

    async def deliver(self, events: Sequence[Event]) -> None:
        """Sends them all. Raises `UpstreamError` and `Misconfigured`, after the last batch."""
        refused: list[int] = []
        for batch in _batches(piece for event in events for piece in self._pieces(event)):
            answer = await self._client.send(self._url, batch, self._headers)
            refused += _refusals(answer.body)
        if any(status == 429 or status >= 500 for status in refused):
            raise UpstreamError(f"{TITLE} could not take {len(refused)} events", is_retryable=True)
        if refused:
            raise Misconfigured(f"{TITLE} refused {len(refused)} events, the first with status {refused[0]}")

    async def close(self) -> None:
        """See `Destination`."""
        await self._client.close()

    def _pieces(self, event: Event) -> Iterator[bytes]:
        """Both events of a call, encoded."""
        at = moment(event.record.ended_at)
        for kind, body in (("trace-create", self._trace(event)), ("generation-create", self._generation(event))):
            envelope = {"id": f"{event.record.record_id}-{kind}", "type": kind, "timestamp": at}
            whole = _encode({**envelope, "body": body})
            if len(whole) > _BATCH_BYTES:
                whole = _encode({**envelope, "body": {**body, "input": _TOO_LONG, "output": _TOO_LONG}})
            yield whole

    def _trace(self, event: Event) -> dict[str, Any]:
        """Of one that exists already only what `update_trace_keys` names is changed."""
        told, record = said(event), event.record
        body = {
            "name": text(told, "trace_name") or f"litellm-{record.call_type}",
            "userId": text(told, "trace_user_id") or record.end_user or None,
            "sessionId": text(told, "session_id") or record.session_id or None,
            "input": _input(event),
            "output": _output(event),
            "version": text(told, "trace_version", "version"),
            "release": text(told, "trace_release", "release") or self._release,
            "metadata": told.get("trace_metadata"),
            "tags": tags(event) or None,
        }
        if text(told, "existing_trace_id") is not None:
            named = told.get("update_trace_keys")
            changed = named if isinstance(named, list) else ()
            names = {"userId": "trace_user_id", "sessionId": "session_id"}
            body = {name: value for name, value in body.items() if names.get(name, name) in changed}
        return _known(id=trace_id(event), timestamp=moment(record.started_at), environment=self._environment, **body)

    def _generation(self, event: Event) -> dict[str, Any]:
        told, record = said(event), event.record
        return _known(
            id=text(told, "generation_id") or record.record_id,
            traceId=trace_id(event),
            parentObservationId=text(told, "parent_observation_id"),
            name=text(told, "generation_name") or f"litellm-{record.call_type}",
            startTime=moment(record.started_at),
            endTime=moment(record.ended_at),
            completionStartTime=moment(record.first_token_at) if record.first_token_at else None,
            model=record.model or record.model_group or None,
            modelParameters=_plain(parameters(event)) or None,
            input=_input(event),
            output=_output(event),
            usageDetails=token_classes(record) or None,
            costDetails=costs(event) or None,
            level="DEFAULT" if record.is_success else "ERROR",
            statusMessage=failure(event) or None,
            version=text(told, "version"),
            environment=self._environment,
            metadata=details(event),
        )


def address(host: str | None, path: str) -> str:
    """`path` at a host that was given, or in Langfuse's cloud. Raises `Misconfigured`."""
    return checked_url(host or _CLOUD, name="langfuse_host").rstrip("/") + path


def authorization(variables: Mapping[str, str]) -> str:
    """The header that says who tells. Raises `Misconfigured` naming what is missing."""
    public = needed(variables, "langfuse_public_key", title=TITLE, environment="LANGFUSE_PUBLIC_KEY")
    secret = needed(variables, "langfuse_secret_key", "langfuse_secret", title=TITLE, environment="LANGFUSE_SECRET_KEY")
    return f"Basic {b64encode(f'{public}:{secret}'.encode()).decode()}"


def details(event: Event) -> dict[str, Any]:
    """What is worth knowing of a call besides its text, and all that the caller said."""
    record = event.record
    told = event.payload.get("metadata")
    owners = {
        name: value
        for name, value in (told.items() if isinstance(told, dict) else ())
        if name.startswith("user_api_key_") and isinstance(value, (str, int, float)) and value != ""
    }
    own = _known(
        call_id=record.call_id or None,
        route=record.route or None,
        model_group=record.model_group or None,
        model_id=record.model_id or None,
        provider=record.provider or None,
        cache_hit=record.is_cached or None,
        status_code=None if record.is_success else record.status_code,
        error_class=record.error_class or None,
    )
    return {**said(event), **owners, **own}


def _input(event: Event) -> Any:
    return REDACTED if said(event).get("mask_input") is True else event.payload.get("messages")


def _output(event: Event) -> Any:
    """The message itself, where there is one: it is what Langfuse knows how to show."""
    if said(event).get("mask_output") is True:
        return REDACTED
    response = event.payload.get("response")
    choices = response.get("choices") if isinstance(response, dict) else None
    first = choices[0] if isinstance(choices, list) and choices else None
    message = first.get("message") if isinstance(first, dict) else None
    return message if message is not None else response


def _plain(given: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters can be texts, numbers, flags and lists of texts; everything else goes as JSON."""
    return {
        name: value if isinstance(value, (str, int, float)) else _encode(value).decode()
        for name, value in given.items()
        if value is not None
    }


def _known(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _batches(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Request bodies, each below the limit."""
    waiting: list[bytes] = []
    size = 0
    for piece in pieces:
        if waiting and size + len(piece) > _BATCH_BYTES:
            yield _body(waiting)
            waiting, size = [], 0
        waiting.append(piece)
        size += len(piece) + 1
    if waiting:
        yield _body(waiting)


def _body(pieces: Sequence[bytes]) -> bytes:
    return b'{"batch":[%b]}' % b",".join(pieces)


def _refusals(answer: bytes) -> list[int]:
    """The statuses of events that were not taken."""
    try:
        errors = msgspec.json.decode(answer).get("errors") or []
    except (msgspec.DecodeError, AttributeError):
        return []
    return [int(error.get("status") or 400) for error in errors if isinstance(error, dict)]
