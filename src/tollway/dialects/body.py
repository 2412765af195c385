"""The top level of a body: what every format's request is read from, and what the gateway knows of it."""

from __future__ import annotations

from typing import Any

import msgspec

from tollway.core.errors import InvalidRequest
from tollway.core.snapshot import Deployment, Endpoint

Fields = dict[str, msgspec.Raw]
"""The top level of a body: every value still the bytes the client sent."""

_decode_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class Request(msgspec.Struct, gc=False):
    """A request whose top level was read."""

    fields: Fields
    model: str | None
    is_stream: bool
    wants_usage: bool
    """The caller asked for a usage event."""
    output_limit: int | None
    """Most tokens of one choice that the caller allows."""
    choices: int
    """How many answers are generated (`n`, times the prompts of a completion)."""


def read_fields(body: bytes) -> Fields:
    """The top level of a body. Raises `InvalidRequest` when it is not a JSON object."""
    try:
        return _decode_fields(body)
    except msgspec.ValidationError:
        raise InvalidRequest("The request body must be a JSON object.", param="request_body") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"Invalid JSON payload: {error}", param="request_body") from None


def suit(fields: dict[str, Any], deployment: Deployment) -> None:
    """Takes out what a deployment refuses, and gives the rest the names it has for it."""
    for name in deployment.dropped:
        fields.pop(name, None)
    for name, other in deployment.renamed.items():
        if name in fields and other not in fields:
            fields[other] = fields.pop(name)


def shape(fields: dict[str, Any], endpoint: Endpoint | None) -> None:
    """Makes a body one for an address that has some of it elsewhere, or wants more."""
    if endpoint is None:
        return
    for name in endpoint.omits:
        fields.pop(name, None)
    for name, value in endpoint.sets.items():
        fields.setdefault(name, value)


def adapt(fields: dict[str, Any], deployment: Deployment) -> None:
    """Makes a body one for a deployment: without what it refuses, with its names, its defaults and its overrides."""
    suit(fields, deployment)
    for name, value in deployment.defaults.items():
        fields.setdefault(name, value)
    fields.update(deployment.overrides)
