"""Gemini's format passing through: a request is patched at its top level, everything else is the bytes that came."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from tollway.core.errors import Header, InvalidRequest, TollwayError, UpstreamError
from tollway.core.snapshot import Deployment, Operation
from tollway.dialects.body import Fields, Request, suit
from tollway.dialects.gemini.errors import parse_error, render_error
from tollway.dialects.gemini.fields import fields_of, in_camel_case, typed
from tollway.dialects.gemini.relay import GeminiRelay, render_reply
from tollway.dialects.identity import NOTHING_PASSED, Identity, Passed, Reply

_encode = msgspec.json.Encoder().encode
_CONFIG = "generationConfig"
_CONFIGURED: dict[str, str] = {
    "temperature": "temperature",
    "top_p": "topP",
    "top_k": "topK",
    "max_tokens": "maxOutputTokens",
    "max_completion_tokens": "maxOutputTokens",
    "seed": "seed",
    "n": "candidateCount",
    "stop": "stopSequences",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
}
"""Where Gemini has what operators set for a deployment in chat's words."""


def read_request(fields: Fields, model: str | None, is_stream: bool) -> Request:
    """Checks the fields the gateway depends on. Raises `InvalidRequest` naming the first that is wrong."""
    known = in_camel_case(fields)
    contents = known.get("contents")
    if contents is None:
        raise InvalidRequest("Missing required parameter: 'contents', a list of turns with parts.", param="contents")
    if memoryview(contents)[0] not in b"[{":
        raise InvalidRequest("'contents' must be a list of turns, each with parts.", param="contents")
    config = fields_of(known[_CONFIG], _CONFIG) if _CONFIG in known else {}
    return Request(
        fields,
        model,
        is_stream,
        True,
        _count(config, "maxOutputTokens") or None,
        _count(config, "candidateCount") or 1,
    )


def render_request(request: Request, deployment: Deployment) -> bytes:
    """The body for a deployment: its defaults and overrides, without what it refuses. The model is in the path."""
    fields = request.fields.copy()
    fields.pop("model", None)
    suit(fields, deployment)
    if deployment.defaults:
        _fill(fields, deployment.defaults)
    fields.update(deployment.overrides)
    return _encode(fields)


def _fill(fields: Fields, defaults: Fields) -> None:
    """What the operator set where the caller said nothing; what Gemini has no other name for keeps its own."""
    key = "generation_config" if "generation_config" in fields else _CONFIG
    config = fields_of(fields[key], _CONFIG) if key in fields else {}
    is_changed = False
    for name, raw in defaults.items():
        known = _CONFIGURED.get(name)
        if known is None:
            fields.setdefault(name, raw)
        elif known not in config:
            config[known] = msgspec.Raw(b"[%s]" % bytes(raw)) if name == "stop" and bytes(raw)[:1] == b'"' else raw
            is_changed = True
    if is_changed:
        fields[key] = msgspec.Raw(_encode(config))


def _count(config: Fields, name: str) -> int:
    if name not in config:
        return 0
    value: Any = typed(config[name], f"{_CONFIG}.{name}", int, "an integer")
    if value < 0:
        raise InvalidRequest(f"'{_CONFIG}.{name}' must not be negative.", param=_CONFIG)
    return int(value)


class GeminiIdentity:
    """generateContent and streamGenerateContent."""

    def pass_headers(self, headers: Mapping[bytes, bytes], deployment: Deployment) -> Passed:
        """None of the caller's headers is the provider's."""
        return NOTHING_PASSED

    def read_request(self, fields: Fields, *, path_model: str | None, is_stream: bool) -> Request:
        """Checks the fields the gateway depends on."""
        return read_request(fields, path_model, is_stream)

    def render_request(self, request: Request, deployment: Deployment) -> bytes:
        """The body for a deployment."""
        return render_request(request, deployment)

    def read_reply(self, body: bytes, public_model: str) -> Reply:
        """Renames the model of an answer."""
        return render_reply(body, public_model)

    def relay(self, public_model: str, *, forwards_usage: bool, is_sse: bool = True) -> GeminiRelay:
        """For one stream. Usage is in every chunk of Gemini's, wanted or not."""
        return GeminiRelay(public_model, is_sse=is_sse)

    def parse_error(self, status: int, body: bytes, vendor: str, headers: tuple[Header, ...]) -> UpstreamError:
        """What to tell the client about an error answer."""
        return parse_error(status, body, vendor, headers)

    def render_error(self, error: TollwayError) -> bytes:
        """The JSON body of an error."""
        return render_error(error)


IDENTITIES: dict[Operation, Identity] = {"gemini": GeminiIdentity()}
