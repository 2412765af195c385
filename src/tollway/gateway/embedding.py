"""Embeddings of models that have a format of their own, for callers of OpenAI's."""

from __future__ import annotations

import msgspec

from tollway.core.errors import Header, UpstreamError
from tollway.core.snapshot import Deployment, Operation
from tollway.dialects import embeddings
from tollway.dialects.body import suit
from tollway.dialects.generation.dialect import ProviderSide
from tollway.dialects.identity import NOTHING_PASSED, Relay, Reply
from tollway.dialects.registry import find_dialect, find_identity
from tollway.gateway.call import Call
from tollway.gateway.passed_headers import add_extra

_encode = msgspec.json.Encoder().encode


class Embedding:
    """Embeddings of a model that Amazon serves, in whatever format it has."""

    operation: Operation = "embeddings"
    repaired: tuple[str, ...] = ()

    __slots__ = ("_asked", "_deployment", "_vendor", "dropped", "passed_headers")

    def __init__(self, call: Call, deployment: Deployment, vendor: str) -> None:
        """`vendor` is what messages call it."""
        self._deployment = deployment
        self._vendor = vendor
        passed = add_extra(NOTHING_PASSED, call.controls.extra_headers, deployment, self.operation, {})
        self.passed_headers, self.dropped = passed
        self._asked: embeddings.Asked | None = None

    def render_request(self, call: Call) -> bytes:
        """The body for the provider. Raises `InvalidRequest` for what it cannot be told."""
        deployment = self._deployment
        fields = {**deployment.defaults, **call.request.fields}
        self._asked = embeddings.parse(fields)
        self.dropped += embeddings.unsaid(call.request.fields)
        body = embeddings.render(self._asked, deployment.model)
        suit(body, deployment)
        body.update(deployment.overrides)
        return _encode(body)

    def read_answer(self, call: Call, body: bytes) -> Reply:
        """The answer in OpenAI's format."""
        assert self._asked is not None
        return embeddings.read_reply(body, self._asked, call.requested_model)

    def relay(self, call: Call) -> Relay:
        """For a stream, which embeddings never are."""
        return find_identity(self.operation).relay(call.requested_model, forwards_usage=False)

    def refusal(self, status: int, body: bytes, headers: tuple[Header, ...]) -> UpstreamError:
        """What the provider's error means."""
        amazon: ProviderSide = find_dialect("converse")
        return amazon.parse_error(status, body, self._vendor, headers)
