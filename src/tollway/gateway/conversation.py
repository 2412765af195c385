"""How one call is put to one deployment, and its answer understood: untouched where the formats agree, else translated.

A deployment that speaks the caller's format is asked in it: bytes pass through, apart from the model's name and fields
of the gateway's own. Otherwise the request goes through the middle form once, and so does the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import msgspec

from tollway.core.errors import Header, InvalidRequest, Misconfigured, TollwayError, UpstreamError
from tollway.core.snapshot import GENERATIVE, OPERATIONS, Deployment, Endpoint, Operation
from tollway.core.usage import NO_USAGE, Usage
from tollway.dialects.body import Fields, shape, suit
from tollway.dialects.generation.answer import Delta, Event, Failed, Metered, Started, Stopped, text_of
from tollway.dialects.generation.dialect import (
    ClientSide,
    ProviderSide,
    StreamDecoder,
    StreamEncoder,
    StreamOptions,
    Target,
)
from tollway.dialects.generation.losses import Loss, LossKind
from tollway.dialects.generation.request import Request as MiddleRequest
from tollway.dialects.identity import NOTHING_PASSED, Identity, Relay, Reply
from tollway.dialects.registry import find_dialect, find_identity, find_invoke, find_repair
from tollway.gateway.call import Call, Conversation
from tollway.gateway.embedding import Embedding
from tollway.gateway.passed_headers import add_extra

if TYPE_CHECKING:
    from tollway.gateway.thread import Thread

_encode = msgspec.json.Encoder().encode


def speaks(deployment: Deployment, operation: Operation) -> Operation | None:
    """What a deployment is asked for a call of `operation`; None if it cannot serve it.

    The same where it can; otherwise the first of its formats that the middle form can be written in.
    """
    if operation in deployment.endpoints:
        return operation
    if operation not in GENERATIVE:
        return None
    return next((one for one in deployment.endpoints if one in GENERATIVE and one != "completions"), None)


def offers(call: Call) -> Callable[[Deployment], bool]:
    """Whether a deployment can serve a call of this kind."""
    if call.controls.mock_response is not None:
        return _anybody
    thread = call.thread
    return _OFFERS[call.operation] if thread is None or not thread.targets else thread.fits


def _anybody(deployment: Deployment) -> bool:
    return True


def _offers(operation: Operation) -> Callable[[Deployment], bool]:
    def offers_it(deployment: Deployment) -> bool:
        return deployment.mock_response is not None or speaks(deployment, operation) is not None

    return offers_it


_OFFERS = {operation: _offers(operation) for operation in OPERATIONS}


def converse(call: Call, deployment: Deployment) -> Conversation:
    """The conversation of a call with a deployment. Raises `Misconfigured` if that offers nothing of the kind."""
    is_mocked = call.is_mocked(deployment)
    operation = mocked_as(call.operation) if is_mocked else speaks(deployment, call.operation)
    if operation is None:
        group = call.group.name if call.group is not None else deployment.group
        raise Misconfigured(
            f"Model '{group}' is served by {deployment.provider}, which does not offer {call.operation}.",
            param="model",
            status=400,
            type="invalid_request_error",
        )
    if operation == "embeddings" and deployment.endpoints[operation].wrapping == "amazon" and not is_mocked:
        return Embedding(call, deployment, vendor_name(deployment))
    if operation == call.operation:
        thread = call.thread
        identity = find_identity(operation) if thread is None else thread.identity(call.requested_model, deployment)
        return _Untouched(call, deployment, identity)
    return _Translated(call, deployment, operation)


def mocked_as(operation: Operation) -> Operation:
    """What the built-in model is asked in place of a deployment: it speaks OpenAI's formats."""
    return "chat" if operation in GENERATIVE and operation != "completions" else operation


class _Untouched:
    """Both sides speak the same."""

    repaired: tuple[str, ...] = ()

    __slots__ = ("_deployment", "_endpoint", "_identity", "_moved", "dropped", "operation", "passed_headers")

    def __init__(self, call: Call, deployment: Deployment, identity: Identity) -> None:
        self.operation: Operation = call.operation
        self._deployment = deployment
        self._identity = identity
        passed = identity.pass_headers(call.headers, deployment)
        if call.controls.extra_headers:
            passed = add_extra(passed, call.controls.extra_headers, deployment, self.operation, call.headers)
        self.passed_headers, self.dropped = passed
        self._moved: Fields = {}
        self._endpoint = endpoint = deployment.endpoints.get(self.operation)
        if endpoint is not None and endpoint.wrapping == "amazon":
            self.passed_headers, self._moved = find_invoke().move_betas(self.passed_headers, call.request.fields)
            self.dropped += _omitted(call.request.fields, endpoint)

    def render_request(self, call: Call) -> bytes:
        request = call.request
        if self._moved:
            request = msgspec.structs.replace(request, fields={**request.fields, **self._moved})
        return self._identity.render_request(request, self._deployment)

    def read_answer(self, call: Call, body: bytes) -> Reply:
        return self._identity.read_reply(body, call.requested_model)

    def relay(self, call: Call) -> Relay:
        wants_usage = call.request.wants_usage or call.settings.always_include_stream_usage
        return unwrapped(self._identity.relay(call.requested_model, forwards_usage=wants_usage), self._endpoint)

    def refusal(self, status: int, body: bytes, headers: tuple[Header, ...]) -> UpstreamError:
        speaker: Identity | ProviderSide = self._identity
        return _refuser(speaker, self._endpoint).parse_error(status, body, vendor_name(self._deployment), headers)


class _Translated:
    """The request is read into the middle form and written from it, the answer the other way round."""

    __slots__ = (
        "_client",
        "_deployment",
        "_endpoint",
        "_moved",
        "_provider",
        "_request",
        "_unsent",
        "dropped",
        "operation",
        "passed_headers",
        "repaired",
    )

    def __init__(self, call: Call, deployment: Deployment, operation: Operation) -> None:
        self.operation: Operation = operation
        self.dropped: tuple[str, ...] = ()
        self.repaired: tuple[str, ...] = ()
        passed = NOTHING_PASSED
        if call.controls.extra_headers:
            passed = add_extra(passed, call.controls.extra_headers, deployment, operation, {})
        self.passed_headers, self._unsent = passed
        self._moved: Fields = {}
        self._endpoint = endpoint = deployment.endpoints.get(operation)
        if endpoint is not None and endpoint.wrapping == "amazon":
            self.passed_headers, self._moved = find_invoke().move_betas(self.passed_headers, {})
        self._deployment = deployment
        self._client: ClientSide = find_dialect(call.operation)
        self._provider: ProviderSide = find_dialect(operation)
        self._request: MiddleRequest | None = None

    def render_request(self, call: Call) -> bytes:
        deployment = self._deployment
        _refuse_references(call, deployment)
        defaults = deployment.defaults
        fields = {**defaults, **call.request.fields} if call.operation == "chat" else call.request.fields
        if call.thread is not None:
            fields = call.thread.translated(fields)
        request = self._parse(call, fields)
        if defaults and call.operation != "chat":
            _fill(request, defaults)
        self._request = request
        target = Target(
            model=deployment.model,
            provider=deployment.provider,
            max_output_tokens=deployment.max_output_tokens,
            traits=deployment.traits,
            seals=deployment.seals,
            sends_stream_usage=deployment.sends_stream_usage,
        )
        if call.settings.repairs_requests:
            self.repaired = find_repair()(request, self._provider.name, target)
        rendered = self._provider.render_request(request, target)
        fields = rendered.fields
        allowed = call.controls.allowed_params
        losses = [loss for loss in rendered.losses if loss.field not in allowed and loss.field not in defaults]
        for name, value in defaults.items():  # what the operator wrote for the provider, and no format knows
            if any(loss.field == name and loss.kind is LossKind.UNKNOWN for loss in rendered.losses):
                fields.setdefault(name, value)
        for name in call.controls.allowed_params:
            if name in call.request.fields and name not in fields:
                fields[name] = call.request.fields[name]
        self._judge(call, losses)
        fields.update(self._moved)
        suit(fields, deployment)
        shape(fields, self._endpoint)
        fields.update(deployment.overrides)
        if call.thread is not None:
            _echo_thread(request, call.thread)
        return _encode(fields)

    def _parse(self, call: Call, fields: Fields) -> MiddleRequest:
        try:
            return self._client.parse_request(fields, model=call.requested_model, is_stream=call.request.is_stream)
        except UnicodeDecodeError:
            raise InvalidRequest("The request body must be UTF-8.", param="request_body") from None

    def _judge(self, call: Call, losses: Sequence[Loss]) -> None:
        """Refuses what changes the question, unless it may be dropped; the rest is named in a header."""
        deployment = self._deployment
        refused = [loss.field for loss in losses if loss.kind.is_refused]
        may_drop = call.controls.drops_params
        if may_drop is None:
            may_drop = deployment.drops_params
        if refused and not may_drop:
            raise InvalidRequest(
                f"litellm.UnsupportedParamsError: {deployment.provider} does not support parameters: {refused}, "
                f"for model={deployment.model}. To drop them, send 'drop_params': true, or set "
                "`litellm_settings.drop_params: true`.",
                param=refused[0],
            )
        self.dropped = tuple(dict.fromkeys((*(loss.field for loss in losses), *self._unsent)))

    def read_answer(self, call: Call, body: bytes) -> Reply:
        answer = self._provider.parse_answer(body)
        text = text_of(answer) if not answer.usage.total_tokens else ""
        usage = answer.usage if answer.usage.total_tokens else None
        body = self._client.render_answer(answer, self._options(call))
        if call.thread is not None:
            body = call.thread.answered(body)
        return Reply(body, answer.id, usage, text)

    def relay(self, call: Call) -> Relay:
        encoder = self._client.encoder(self._options(call))
        return unwrapped(TranslatingRelay(self._provider, encoder, vendor_name(self._deployment)), self._endpoint)

    def refusal(self, status: int, body: bytes, headers: tuple[Header, ...]) -> UpstreamError:
        speaker = _refuser(self._provider, self._endpoint)
        return speaker.parse_error(status, body, vendor_name(self._deployment), headers)

    def _options(self, call: Call) -> StreamOptions:
        return stream_options(call, self._request)


def stream_options(call: Call, request: MiddleRequest | None = None) -> StreamOptions:
    """What whoever writes the call's answer must know. `request`: what is asked, where answers say that."""
    return StreamOptions(
        model=call.requested_model,
        call_id=call.call_id,
        id=call.thread.id if call.thread is not None else "",
        created=call.started_at_us // 1_000_000,
        wants_usage=call.request.wants_usage or call.settings.always_include_stream_usage,
        request=request,
    )


class TranslatingRelay:
    """A stream on its way from one format into another."""

    __slots__ = (
        "_decoder",
        "_encoder",
        "_has_begun",
        "_is_stopped",
        "_pieces",
        "failure",
        "is_done",
        "known",
        "response_id",
        "usage",
    )

    def __init__(self, provider: ProviderSide, encoder: StreamEncoder, vendor: str) -> None:
        self._decoder: StreamDecoder = provider.decoder(vendor)
        self._encoder = encoder
        self._pieces: list[str] = []
        self._is_stopped = False
        self._has_begun = False
        self.is_done = False
        self.failure: UpstreamError | None = None
        self.usage: Usage = NO_USAGE
        self.known: Usage = NO_USAGE
        self.response_id = ""

    def opening_error(self, data: bytes, vendor: str) -> UpstreamError | None:
        """The error that came in place of an answer."""
        return None if self._has_begun else self.failure

    def has_begun(self, data: bytes) -> bool:
        """Whether the answer itself has begun."""
        return self._has_begun

    def feed(self, data: bytes) -> bytes:
        """What to forward now."""
        return self._write(self._decoder.feed(data))

    def end(self) -> bytes:
        """The body has ended."""
        return self._write(self._decoder.end())

    def close(self, error: TollwayError | None) -> bytes:
        """The last bytes for the client."""
        return self._encoder.close(error)

    @property
    def is_complete(self) -> bool:
        """Whether the answer came to its own end."""
        return self._decoder.is_done or self._is_stopped

    @property
    def text(self) -> str:
        """Everything the model has said so far, for counting where usage is missing."""
        return "".join(self._pieces)

    def _write(self, events: list[Event]) -> bytes:
        for event in events:
            kind = event.__class__
            if kind is Delta:
                self._has_begun = True
                self._pieces.append(event.text)  # type: ignore[union-attr]  # it is one
            elif kind is Metered:
                self.usage = event.usage  # type: ignore[union-attr]
            elif kind is Started:
                self.response_id = event.id  # type: ignore[union-attr]
                self.known = event.usage  # type: ignore[union-attr]
            elif kind is Stopped:
                self._is_stopped = self._has_begun = True
            elif kind is Failed:
                self.failure = event.error  # type: ignore[union-attr]
                self.is_done = True
                events = events[: events.index(event)]
                break
        self.is_done = self.is_done or self._decoder.is_done
        return self._render(events)

    def _render(self, events: list[Event]) -> bytes:
        return self._encoder.push(events)


def unwrapped(relay: Relay, endpoint: Endpoint | None) -> Relay:
    """A relay for what the endpoint sends: its frames are opened, where it has some."""
    if endpoint is None or endpoint.wrapping == "none":
        return relay
    unwrapping: Relay = find_invoke().UnwrappingRelay(relay)
    return unwrapping


def _refuser(speaker: Identity | ProviderSide, endpoint: Endpoint | None) -> Identity | ProviderSide:
    """Who understands the endpoint's errors: the format, unless another company serves it."""
    if endpoint is None or endpoint.wrapping == "none":
        return speaker
    amazon: ProviderSide = find_dialect("converse")
    return amazon


_OF_THE_PATH = frozenset({"model", "stream"})


def _omitted(fields: Fields, endpoint: Endpoint) -> tuple[str, ...]:
    """What the caller said, and the endpoint is not told in any way."""
    return tuple(sorted(name for name in endpoint.omits - _OF_THE_PATH if name in fields))


def vendor_name(deployment: Deployment) -> str:
    """How messages call the vendor: existing clients know the form."""
    return f"{deployment.provider.capitalize()}Exception"


def _echo_thread(request: MiddleRequest, thread: Thread) -> None:
    """What the answer says of the conversation that it belongs to."""
    if thread.previous:
        request.extra["previous_response_id"] = msgspec.Raw(_encode(thread.previous))
    if not thread.is_kept:
        request.store = False


REFERENCES = ("previous_response_id", "conversation", "prompt")
"""Fields of the Responses API that stand for something only its own provider has."""


def _refuse_references(call: Call, deployment: Deployment) -> None:
    """Half a conversation would be answered as if it were all of it."""
    if call.operation != "responses":
        return
    for name in REFERENCES:
        if call.request.fields.get(name, _NULL) != _NULL:
            raise InvalidRequest(
                f"'{name}' is known only to a provider that speaks the Responses API, and {deployment.provider} does "
                "not. Send the whole conversation in 'input'.",
                param=name,
            )
    if call.request.fields.get("background", _NULL) == _TRUE:
        raise InvalidRequest(
            f"'background' needs a provider that speaks the Responses API, and {deployment.provider} does not. Leave "
            "it out, and use 'stream' for answers that take long.",
            param="background",
        )


_NULL, _TRUE = msgspec.Raw(b"null"), msgspec.Raw(b"true")
_NO_MESSAGES = {"messages": msgspec.Raw(b"[]")}


def _fill(request: MiddleRequest, defaults: dict[str, msgspec.Raw]) -> None:
    """What the operator set for the deployment, in chat's words, where the caller said nothing."""
    chat: ClientSide = find_dialect("chat")
    configured = chat.parse_request({**_NO_MESSAGES, **defaults}, model="", is_stream=False)
    for name in _FILLED:
        value = getattr(configured, name)
        if value is not None and value != [] and getattr(request, name) in (None, []):
            setattr(request, name, value)
    request.extra = {**configured.extra, **request.extra}


_FILLED = tuple(
    name
    for name in MiddleRequest.__struct_fields__
    if name not in ("origin", "model", "messages", "is_stream", "wants_stream_usage", "extra")
)
