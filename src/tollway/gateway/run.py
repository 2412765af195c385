"""Serving one call: choose, reserve, attempt, relay, settle. Knows nothing of HTTP servers.

    Gateway.serve(call) ── Answer                      a whole answer, settled
                        └─ Stream ── forward(sink)     settled before its last bytes go out

A call that was admitted is settled exactly once, whatever happens: success, error, a client that leaves.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

import msgspec

from tollway.accounting.pricing import upper_bound_nanos
from tollway.core.errors import DeploymentFull, Header, TollwayError, UnknownModel, UpstreamError
from tollway.core.principal import Scope
from tollway.core.snapshot import Deployment, Endpoint, ModelGroup, Operation, Origin, Timeouts, TransportName
from tollway.core.usage import Usage
from tollway.dialects.body import read_fields
from tollway.dialects.identity import Relay
from tollway.dialects.openai.errors import is_error_document, status_in
from tollway.gateway.bounds import answer_bound, prompt_bound
from tollway.gateway.call import Call, Conversation
from tollway.gateway.conversation import converse, speaks, vendor_name
from tollway.gateway.settle import CLIENT_GONE_STATUS, Settler
from tollway.gateway.vendor_headers import passed_on
from tollway.policy import access, limits, sessions
from tollway.policy.entities import Entities
from tollway.ports.counters import CounterStore
from tollway.ports.ledger import Journal
from tollway.ports.transport import Sink, Transport, UpstreamRequest, UpstreamResponse
from tollway.routing.router import Router

logger = logging.getLogger(__name__)

_DRAIN_S = 1.0

_MOCK_ORIGIN = Origin("http", "mock", 0)
_MOCKED: dict[Operation, Endpoint] = {
    "chat": Endpoint(origin=_MOCK_ORIGIN, target="/v1/chat/completions", headers=()),
    "completions": Endpoint(origin=_MOCK_ORIGIN, target="/v1/completions", headers=()),
    "embeddings": Endpoint(origin=_MOCK_ORIGIN, target="/v1/embeddings", headers=()),
}
"""Where a call with `mock_response` goes."""


class Answer(msgspec.Struct, gc=False):
    """A whole answer for the client."""

    body: bytes
    upstream_headers: Sequence[Header]
    cost_nanos: int


class Gateway:
    """Serves calls by the current router, which a reload replaces."""

    def __init__(
        self,
        *,
        router: Router,
        transports: Mapping[TransportName, Transport],
        counters: CounterStore,
        seed: limits.Seed,
        journal: Journal,
        settler: Settler,
        entities: Entities,
    ) -> None:
        self.router = router
        self._entities = entities
        self.await_models: Callable[[], Awaitable[None]] | None = None
        """Awaited before a model is said to be unknown, as long as not all of them are known here."""
        self._transports = transports
        self._counters = counters
        self._seed = limits.SharedSeed(seed)
        self._journal = journal
        self._settler = settler

    async def serve(self, call: Call) -> Answer | Stream:
        """Serves an authenticated call whose request has been read.

        Raises `TollwayError`; `settle_failure` must then be called with it, and after a cancellation `abandon`.
        """
        if call.controls.session_id:
            await self._meet_session(call)
        if call.end_user:
            await self._meet_customer(call)
        deployment = await self.choose(call)
        if call.controls.tags or (call.group is not None and call.group.access_groups):
            await self._look_up_limited(call)
        self._journal.check()
        deployment = await self._admit(call, deployment)
        response = await self._attempt(call, deployment)
        if call.request.is_stream:
            return await self._open_stream(call, deployment, response)
        return await self._answer(call, deployment, response)

    async def choose(self, call: Call) -> Deployment:
        """The deployment to ask, and how. Raises `Forbidden` or `UnknownModel`, or what the customer may not."""
        group = self._find(call)
        if group is None and self.await_models is not None:
            await self.await_models()
            group = self._find(call)
        return self._choose(call, group)

    async def settle_failure(self, call: Call, error: TollwayError) -> None:
        """Settles a call that ended in an error before any of its answer went out."""
        if call.is_settled:
            return
        if call.sent or call.ticket is not None:  # what was admitted is in the ledger, as it is in the counters
            await self._settler.settle(call, None, error=error)
        else:
            self._settler.refuse(call, error)

    async def abandon(self, call: Call) -> None:
        """Settles a call whose client left before any of its answer went out."""
        await self.settle_failure(call, client_gone())

    def _find(self, call: Call) -> ModelGroup | None:
        """The group behind the model that is asked for."""
        principal, request = call.principal, call.request
        model = request.model or call.path_model or _default_model(call)
        if not model:
            raise UnknownModel(
                "litellm.BadRequestError: You passed in model=None. There are no healthy deployments for this model",
                param="model",
            )
        call.requested_model = model
        return self.router.group(access.apply_alias(principal, model), principal.team_id)

    def _choose(self, call: Call, group: ModelGroup | None) -> Deployment:
        principal, model = call.principal, call.requested_model
        wanted = access.apply_alias(principal, model)
        groups: frozenset[str] = group.access_groups if group is not None else frozenset()
        is_of_team = group is not None and group.team_id is not None
        access.check_model(principal, wanted, access_groups=groups, is_of_team=is_of_team)
        access.check_customer(call.customer, wanted, access_groups=groups)
        if group is None:
            raise _unknown_model(call, model)
        call.group = group
        deployment = call.deployment = self.router.pick(group)
        call.conversation = converse(call, deployment)
        return deployment

    async def _meet_session(self, call: Call) -> None:
        """Finds the limits of the call's session, unless somebody has stopped it."""
        principal, controls = call.principal, call.controls
        stop = await self._entities.find_stop(principal.spend_id, controls.session_id)
        if stop is not None:
            raise sessions.stopped(controls.session_id, stop)
        call.session = sessions.session_scope(principal, controls.session_id, call.settings, controls.session_limits)

    async def _meet_customer(self, call: Call) -> None:
        """Finds the end user, if they may call."""
        settings = call.settings
        call.customer = await self._entities.find_end_user(
            call.end_user,
            default_budget_id=call.principal.end_user_budget_id or settings.end_user_budget_id,
            default_budget_nanos=settings.end_user_budget_nanos,
            must_be_known=settings.refuses_unknown_end_users,
        )

    async def _look_up_limited(self, call: Call) -> None:
        """Finds the tags and access groups of this call that have limits."""
        group = call.group
        assert group is not None
        call.limited = await self._entities.find_limited(tags=call.controls.tags, access_groups=group.access_groups)

    async def _admit(self, call: Call, deployment: Deployment) -> Deployment:
        """Reserves at this deployment, or at another of its group that has room."""
        tried: list[Deployment] = []
        while True:
            try:
                await self._reserve(call, deployment)
            except DeploymentFull:
                tried.append(deployment)
                assert call.group is not None
                other = self.router.other(call.group, tried, lambda one: speaks(one, call.operation) is not None)
                if other is None:
                    raise
                deployment = call.deployment = other
                call.conversation = converse(call, deployment)
            else:
                return deployment

    async def _reserve(self, call: Call, deployment: Deployment) -> None:
        """Reserves an upper bound of what the call can use in every scope it touches."""
        request = call.request
        call.scopes = _scopes(call)
        if deployment.scope is not None:
            call.scopes = (*call.scopes, deployment.scope)
        if not call.scopes:
            return
        tokens_in = prompt_bound(call, deployment)
        tokens_out = answer_bound(request, deployment, call.settings) if call.operation != "embeddings" else 0
        call.ticket = await limits.admit(
            self._counters,
            self._seed,
            call.scopes,
            tokens=tokens_in + tokens_out,
            cost_nanos=upper_bound_nanos(deployment.price, input_tokens=tokens_in, output_tokens=tokens_out),
            settings=call.settings,
            key_name=call.principal.key_name,
        )

    async def _attempt(self, call: Call, deployment: Deployment) -> UpstreamResponse:
        """Sends the request to a deployment. Raises `UpstreamError` for anything but an answer with status 200."""
        request, conversation = call.request, call.conversation
        assert conversation is not None
        name: TransportName = deployment.transport
        mock = call.controls.mock_response if call.controls.mock_response is not None else deployment.mock_response
        if mock is not None:
            name = "demo"
        call.upstream_body = conversation.render_request(call)
        if mock is not None:
            call.upstream_body = _with_mock(call.upstream_body, mock)
        endpoint = (deployment.endpoints if mock is None else _MOCKED)[conversation.operation]
        if request.is_stream and endpoint.for_streams is not None:
            endpoint = endpoint.for_streams
        credential = endpoint.credential
        headers = await credential(endpoint, call.upstream_body) if credential is not None else ()
        if conversation.passed_headers:
            headers = (*headers, *conversation.passed_headers)
        call.sent = time.perf_counter()
        try:
            response = await self._transports[name].send(
                UpstreamRequest(
                    endpoint=endpoint,
                    body=call.upstream_body,
                    headers=headers,
                    timeouts=_timeouts(call, deployment),
                    max_response_bytes=call.settings.max_response_bytes,
                )
            )
            if response.status != 200:
                raise await _refusal(response, conversation)
        finally:
            call.upstream_s = time.perf_counter() - call.sent
        return response

    async def _answer(self, call: Call, deployment: Deployment, response: UpstreamResponse) -> Answer:
        try:
            body = await response.read()
        finally:
            response.close()
            call.upstream_s = time.perf_counter() - call.sent
        assert call.conversation is not None
        try:
            reply = call.conversation.read_answer(call, body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise _unreadable(deployment, "is not valid JSON, or not an answer") from None
        cost = await self._settler.settle(call, reply.usage, response_id=reply.response_id, text=reply.text)
        return Answer(reply.body, response.headers, cost)

    async def _open_stream(self, call: Call, deployment: Deployment, response: UpstreamResponse) -> Stream:
        """Waits for the first bytes, so that a provider that fails at once gets a proper error with a status."""
        stream = Stream(call, response, self._settler)
        try:
            content_type = next((value for name, value in response.headers if name == b"content-type"), b"")
            if content_type.partition(b";")[0].strip().lower() == b"application/json":
                raise _not_a_stream(await response.read(), call, deployment)
            await stream.peek(deployment)
            if call.principal.own is not None:
                call.spent_nanos = await self._counters.spent(call.principal.own)
        except BaseException:
            response.close()
            raise
        return stream


class Stream:
    """A stream on its way to the client. `forward` it until that returns its last bytes; then `close`."""

    __slots__ = (
        "_block",
        "_call",
        "_first",
        "_has_ended",
        "_relay",
        "_response",
        "_settler",
        "_sink",
        "upstream_headers",
    )

    def __init__(self, call: Call, response: UpstreamResponse, settler: Settler) -> None:
        self._call = call
        self._response = response
        self._settler = settler
        self._first = b""
        assert call.conversation is not None
        self._relay: Relay = call.conversation.relay(call)
        self._sink: Sink
        self._block = b""
        """The answer's last bytes, kept back until the call is settled."""
        self._has_ended = False
        """The provider's body has ended: its connection needs no draining."""
        self.upstream_headers = response.headers

    async def peek(self, deployment: Deployment) -> None:
        """Awaits the first bytes. Raises `UpstreamError` if they are an error event, or there are none."""
        self._first = await self._response.next_chunk()
        self._call.first_token = time.perf_counter()
        if not self._first:
            raise _unreadable(deployment, "ended before it began")
        error = self._relay.opening_error(self._first, vendor_name(deployment))
        if error is not None:
            raise error

    async def forward(self, sink: Sink) -> bytes | None:
        """Hands the stream to `sink` as it comes, until that wants no more (then None) or only the last bytes are left.

        These are returned, once the call is settled, for the caller to forward. `sink` never gets empty bytes; it is
        called from where the provider's bytes arrive, so that an event costs no turn of the event loop.
        """
        relay = self._relay
        self._sink = sink
        first, self._first = self._first, b""
        try:
            if not first or self._relay_chunk(first):
                self._has_ended = await self._response.forward(self._relay_chunk)
        except UpstreamError as error:
            return await self._finish(b"", error)
        if relay.is_done:
            return await self._finish(self._block, None)
        if self._has_ended:
            rest = relay.end()
            return await self._finish(rest, None if relay.is_complete else _cut())
        return None

    def _relay_chunk(self, chunk: bytes) -> bool:
        """Forwards what is to be forwarded; False at the end of the answer, or when the client does not keep up."""
        relay = self._relay
        block = relay.feed(chunk)
        if relay.is_done:
            self._block = block
            return False
        return self._sink(block) if block else True

    async def abandon(self) -> None:
        """The client left: stop the provider, settle what was used."""
        self._response.close()
        if not self._call.is_settled:
            await self._settle(client_gone())

    async def stop(self, error: TollwayError) -> bytes:
        """Ends the answer here: stops the provider, settles what was used; the last bytes, which say why."""
        self._response.close()
        try:
            await self._settle(error)
        except TollwayError as fault:
            error = fault
        return self._relay.close(error)

    def say(self, error: TollwayError) -> bytes:
        """The last bytes of a stream that the gateway itself could not finish."""
        return self._relay.close(error)

    async def close(self) -> None:
        """Gives the connection back, once everything was forwarded."""
        if self._relay.is_done and not self._has_ended:
            try:
                async with asyncio.timeout(_DRAIN_S):
                    while await self._response.next_chunk():
                        pass
            except (UpstreamError, TimeoutError):
                pass  # the answer is complete; only the connection is lost
        self._response.close()

    async def _finish(self, block: bytes, error: UpstreamError | None) -> bytes:
        """Settles first: nobody gets the end of a stream that is not in the journal."""
        relay = self._relay
        error = error or relay.failure
        try:
            await self._settle(error)
        except TollwayError as fault:
            return relay.close(fault) or b""
        return block + relay.close(error)

    async def _settle(self, error: TollwayError | None) -> None:
        relay, call = self._relay, self._call
        call.upstream_s = time.perf_counter() - call.sent
        usage: Usage | None = relay.usage if relay.usage.total_tokens else None
        text = relay.text if usage is None else ""
        await self._settler.settle(
            call, usage, response_id=relay.response_id, text=text, known=relay.known, error=error
        )


def client_gone() -> TollwayError:
    """The client closed the connection: nobody reads this, but the record and the metrics name it."""
    return TollwayError("The client closed the connection.", status=CLIENT_GONE_STATUS, type="client_disconnect")


def _scopes(call: Call) -> tuple[Scope, ...]:
    """Every entity whose limits the call touches: what its key belongs to, what it names, and their limits for this
    model."""
    principal, customer = call.principal, call.customer
    proxy = call.settings.proxy_scope
    is_plain = customer is None and call.session is None and not call.limited and proxy is None
    if is_plain and not principal.model_scopes:
        return principal.scopes
    model = call.group.name if call.group is not None else ""
    scopes = [*principal.scopes, *principal.model_scopes.get(model, ())]
    scopes += [entity.scope for entity in call.limited]
    if customer is not None:
        scopes.append(customer.scope)
        if model in customer.model_scopes:
            scopes.append(customer.model_scopes[model])
    if call.session is not None:
        scopes.append(call.session)
    if proxy is not None and not principal.is_admin:
        scopes.append(proxy)
    return tuple(scopes)


def _default_model(call: Call) -> str | None:
    of_customer = call.customer.default_model if call.customer is not None else None
    return of_customer or call.settings.default_model


def _timeouts(call: Call, deployment: Deployment) -> Timeouts:
    """The deployment's, with what the caller or the kind of call changes."""
    timeouts = deployment.timeouts
    if call.request.is_stream and timeouts.first_byte_of_stream is not None:
        timeouts = msgspec.structs.replace(timeouts, first_byte=timeouts.first_byte_of_stream)
    if call.controls.timeout_s is not None:
        timeouts = msgspec.structs.replace(timeouts, total=call.controls.timeout_s)
    return timeouts


def _with_mock(body: bytes, text: str) -> bytes:
    """Tells the built-in model what to answer."""
    return msgspec.json.encode({**read_fields(body), "demo": {"text": text}})


async def _refusal(response: UpstreamResponse, conversation: Conversation) -> UpstreamError:
    try:
        body = await response.read()
    finally:
        response.close()
    return conversation.refusal(response.status, body, passed_on(response.headers))


def _not_a_stream(body: bytes, call: Call, deployment: Deployment) -> UpstreamError:
    """A provider answered a stream request with JSON: an error, or it does not stream."""
    assert call.conversation is not None
    if is_error_document(body):
        return call.conversation.refusal(status_in(body), body, ())
    return _unreadable(deployment, "is not a stream, though one was asked for")


def _unreadable(deployment: Deployment, what: str) -> UpstreamError:
    return UpstreamError(
        f"litellm.APIError: {vendor_name(deployment)} - The provider's answer {what}.",
        error_class="APIError",
        upstream_status=200,
        is_retryable=True,
    )


def _cut() -> UpstreamError:
    return UpstreamError(
        "litellm.APIConnectionError: The provider's stream ended before the answer was complete.",
        upstream_status=200,
        is_retryable=True,
    )


def _unknown_model(call: Call, model: str) -> UnknownModel:
    if call.operation == "chat":
        text = f"litellm.BadRequestError: You passed in model={model}. There are no healthy deployments for this model"
    else:
        text = (
            f"/{call.operation}: Invalid model name passed in model={model}. "
            "Call `/v1/models` to view available models for your key."
        )
    return UnknownModel(text, param="model")
