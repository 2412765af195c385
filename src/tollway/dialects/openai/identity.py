"""OpenAI's own formats passing through: chat completions, text completions, embeddings."""

from __future__ import annotations

from collections.abc import Mapping

from tollway.core.errors import Header, TollwayError, UpstreamError
from tollway.core.snapshot import Deployment, Operation
from tollway.dialects.body import Fields, Request
from tollway.dialects.identity import NOTHING_PASSED, Identity, Passed, Reply
from tollway.dialects.openai.errors import render_error, upstream_error
from tollway.dialects.openai.request import read_request, render_request
from tollway.dialects.openai.response import read_reply
from tollway.dialects.openai.stream import StreamRelay


class OpenAIIdentity:
    """One of the formats."""

    def __init__(self, operation: Operation) -> None:
        self._operation: Operation = operation

    def pass_headers(self, headers: Mapping[bytes, bytes], deployment: Deployment) -> Passed:
        """None of the caller's headers is the provider's."""
        return NOTHING_PASSED

    def read_request(self, fields: Fields, *, path_model: str | None, is_stream: bool) -> Request:
        """Checks the fields the gateway depends on."""
        return read_request(fields, self._operation)

    def render_request(self, request: Request, deployment: Deployment) -> bytes:
        """The body for a deployment."""
        return render_request(request, deployment)

    def read_reply(self, body: bytes, public_model: str) -> Reply:
        """Renames the model of an answer."""
        return read_reply(body, public_model, counts_text=self._operation != "embeddings")

    def relay(self, public_model: str, *, forwards_usage: bool) -> StreamRelay:
        """For one stream."""
        return StreamRelay(public_model, forwards_usage=forwards_usage)

    def parse_error(self, status: int, body: bytes, vendor: str, headers: tuple[Header, ...]) -> UpstreamError:
        """What to tell the client about an error answer."""
        return upstream_error(status, body, vendor, headers)

    def render_error(self, error: TollwayError) -> bytes:
        """The JSON body of an error."""
        return render_error(error)


IDENTITIES: dict[Operation, Identity] = {
    "chat": OpenAIIdentity("chat"),
    "completions": OpenAIIdentity("completions"),
    "embeddings": OpenAIIdentity("embeddings"),
}
