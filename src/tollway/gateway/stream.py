"""A stream on its way to the client, from the first byte of its answer to its settlement."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

from tollway.core.errors import Header, TollwayError, UpstreamError
from tollway.core.snapshot import Deployment
from tollway.core.usage import NO_USAGE, Usage
from tollway.dialects.identity import Relay
from tollway.dialects.openai.errors import is_error_document, status_in
from tollway.gateway.attempt import Attempt
from tollway.gateway.call import Call
from tollway.gateway.continuation import ask_to_go_on, can_be_taken_up, interrupt, resumed_relay
from tollway.gateway.conversation import vendor_name
from tollway.gateway.received import Received
from tollway.gateway.settle import CLIENT_GONE_STATUS, Settler
from tollway.ports.transport import Sink, UpstreamResponse

_DRAIN_S = 1.0
_HOLD_S = 5.0
"""The opening of a stream is kept back until the answer itself begins, so that a provider that fails before can be
replaced without anybody noticing; but no longer than this, as clients want to see that something happens."""


Keep = Callable[[bytes, Usage | None, int, str], None]
"""Keeps an answer: all bytes that the client got, what it used, its cost in nano-dollars, the response's id."""
GoOn = Callable[[UpstreamError], Awaitable["Stream | None"]]
"""Has another deployment go on with an answer that broke off with an error; None: nobody can."""


class Replay:
    """A stream that was kept, for another client. It is settled; `forward` it as a `Stream`."""

    upstream_headers: Sequence[Header] = ()

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def forward(self, sink: Sink) -> bytes | None:
        """All of it at once: the last bytes that there are."""
        return self._body

    async def abandon(self) -> None:
        """Nobody else is told."""

    async def stop(self, error: TollwayError) -> bytes:
        """It goes out whole."""
        return self._body

    def say(self, error: TollwayError) -> bytes:
        """Nothing can fail."""
        return b""

    async def close(self) -> None:
        """Nothing is open."""


class Stream:
    """Open it; `forward` it until that returns its last bytes; then `close`."""

    __slots__ = (
        "_attempt",
        "_block",
        "_call",
        "_copy",
        "_go_on",
        "_has_ended",
        "_held",
        "_is_accrued",
        "_keep",
        "_late",
        "_received",
        "_relay",
        "_response",
        "_settler",
        "_sink",
        "upstream_headers",
    )

    def __init__(
        self,
        call: Call,
        attempt: Attempt,
        response: UpstreamResponse,
        settler: Settler,
        *,
        remembers: bool = False,
    ) -> None:
        """`remembers`: what comes is kept in case that it breaks off."""
        self._keep: Keep | None = None
        self._go_on: GoOn | None = None
        self._received = Received() if remembers else None
        """All that has come, in case that somebody has to go on from it."""
        self._is_accrued = False
        """What this attempt has used is noted: it broke off."""
        self._copy: list[bytes] = []
        self._call = call
        self._attempt = attempt
        self._response = response
        self._settler = settler
        self._held = b""
        """The opening, ready for the client."""
        self._late: asyncio.Task[bytes] | None = None
        """The next bytes, which did not come while the opening was kept back."""
        assert call.conversation is not None
        self._relay: Relay = call.conversation.relay(call) if call.resumption is None else resumed_relay(call)
        self._sink: Sink
        self._block = b""
        """The answer's last bytes, kept back until the call is settled."""
        self._has_ended = False
        """The provider's body has ended: its connection needs no draining."""
        self.upstream_headers = response.headers

    async def open(self) -> None:
        """Awaits the beginning of the answer itself. Raises `UpstreamError` for whatever comes in its place."""
        try:
            await self._open()
        except BaseException:
            if self._late is not None:
                self._late.cancel()
            self._response.close()
            raise

    def serve(self, call: Call, keep: Keep | None, go_on: GoOn | None) -> None:
        """Makes it the answer of a call, before it is forwarded.

        `keep` takes all of it once it has come to its proper end; `go_on` is asked where it breaks off.
        """
        self._call, self._keep, self._go_on = call, keep, go_on

    def drop(self) -> None:
        """Nobody wants it: another answer was there before."""
        self._attempt.leave()
        self._stop_reading()

    async def forward(self, sink: Sink) -> bytes | None:
        """Hands the stream to `sink` as it comes, until that wants no more (then None) or only the last bytes are left.

        These are returned, once the call is settled, for the caller to forward. `sink` never gets empty bytes; it is
        called from where the provider's bytes arrive, so that an event costs no turn of the event loop.
        """
        relay = self._relay
        self._sink = sink if self._keep is None and self._call.audience is None else self._copying(sink)
        try:
            if await self._forward_opening():
                self._has_ended = await self._response.forward(self._relay_chunk)
        except UpstreamError as error:
            return await self._break_off(b"", error, sink)
        if relay.is_done:
            if relay.failure is not None:
                return await self._break_off(self._block, relay.failure, sink)
            return await self._finish(self._block, None)
        if self._has_ended:
            rest = relay.end()
            if not relay.is_complete:
                return await self._break_off(rest, _cut(), sink)
            return await self._finish(rest, None)
        return None

    async def abandon(self) -> None:
        """The client left: stop the provider, settle what was used."""
        self._stop_reading()
        if not self._call.is_settled:
            await self._settle(client_gone())

    async def stop(self, error: TollwayError) -> bytes:
        """Ends the answer here: stops the provider, settles what was used; the last bytes, which say why."""
        self._stop_reading()
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

    async def _open(self) -> None:
        response, relay, deployment = self._response, self._relay, self._attempt.deployment
        content_type = next((value for name, value in response.headers if name == b"content-type"), b"")
        if content_type.partition(b";")[0].strip().lower() == b"application/json":
            raise _not_a_stream(await response.read(), self._call, deployment)
        opening = await response.next_chunk()
        began = self._attempt.first_token = time.perf_counter()
        self._call.first_token = self._call.first_token or began
        self._note(opening)
        if not opening:
            raise unreadable(deployment, "ended before it began")
        vendor = vendor_name(deployment)
        self._held = relay.feed(opening)
        deadline = began + _HOLD_S
        while not relay.is_done:
            error = relay.opening_error(opening, vendor)
            if error is not None:
                raise error
            if relay.has_begun(opening):
                return None
            self._late = asyncio.ensure_future(response.next_chunk())
            await asyncio.wait((self._late,), timeout=deadline - time.perf_counter())
            if not self._late.done():
                return None
            chunk, self._late = self._late.result(), None
            if not chunk:
                return self._end_early()
            opening += chunk
            self._note(chunk)
            self._held += relay.feed(chunk)
        error = relay.opening_error(opening, vendor)
        if error is not None:
            raise error
        return None

    def _end_early(self) -> None:
        """The body has ended in its opening."""
        relay = self._relay
        self._has_ended = True
        self._held += relay.end()
        if not relay.is_complete and not relay.is_done:
            raise _cut()

    async def _forward_opening(self) -> bool:
        """What was kept back; whether more is to be read."""
        held, self._held = self._held, b""
        if self._relay.is_done:
            self._block = self._block or held
            return False
        if held and not self._sink(held):
            return False
        if self._late is not None:
            chunk, self._late = await self._late, None
            if not chunk:
                self._has_ended = True
            elif not self._relay_chunk(chunk):
                return False
        return not self._has_ended

    def _relay_chunk(self, chunk: bytes) -> bool:
        """Forwards what is to be forwarded; False at the end of the answer, or when the client does not keep up."""
        relay = self._relay
        self._note(chunk)
        block = relay.feed(chunk)
        if relay.is_done:
            self._block = block
            return False
        return self._sink(block) if block else True

    def _note(self, chunk: bytes) -> None:
        if self._received is not None:
            self._received.add(chunk)

    def _copying(self, sink: Sink) -> Sink:
        keeps, audience = self._keep is not None, self._call.audience

        def copy(block: bytes) -> bool:
            if keeps:
                self._copy.append(block)
            if audience is not None:
                audience.answer.add(block)
            return sink(block)

        return copy

    def _stop_reading(self) -> None:
        if self._late is not None:
            self._late.cancel()
        self._response.close()

    async def _break_off(self, block: bytes, error: UpstreamError, sink: Sink) -> bytes | None:
        """The provider failed in the middle of the answer: another goes on, or the client is told."""
        said = await self._interrupt(error)
        if not said:
            return await self._finish(block, error)
        if block:
            sink(block)
        assert self._go_on is not None
        ask_to_go_on(self._call, said)
        successor = await self._go_on(error)
        if successor is None:
            return await self._finish(b"", error)
        self._become(successor)
        return await self.forward(sink)

    async def _interrupt(self, error: UpstreamError) -> str:
        """The text so far, if somebody may go on from it; then what was used is noted."""
        call, relay = self._call, self._relay
        if self._go_on is None or relay.is_complete or not can_be_taken_up(call):
            return ""
        received = b"" if self._received is None else self._received.all()
        said = interrupt(call, received, has_ended=self._has_ended)
        if said:
            self._response.close()
            self._attempt.fail(call, error)
            call.upstream_s = time.perf_counter() - call.sent
            used = relay.usage if relay.usage.total_tokens else None
            await self._settler.accrue(call, used, text=relay.text, known=relay.known)
            self._is_accrued = True
        return said

    def _become(self, successor: Stream) -> None:
        """Goes on as the stream of another deployment."""
        for name in ("_attempt", "_response", "_relay", "_held", "_late", "_block", "_has_ended", "_is_accrued"):
            setattr(self, name, getattr(successor, name))
        self._keep = None  # what has passed is of two answers

    async def _finish(self, block: bytes, error: UpstreamError | None) -> bytes:
        """Settles first: nobody gets the end of a stream that is not in the journal."""
        relay = self._relay
        error = error or relay.failure
        try:
            cost = await self._settle(error)
        except TollwayError as fault:
            return relay.close(fault) or b""
        last, call = block + relay.close(error), self._call
        if call.audience is not None:
            call.audience.answer.add(last)
        if call.thread is not None and error is None and call.is_translated:
            await call.thread.keep_stream(last, self._attempt.deployment, relay.response_id)
        if self._keep is not None and error is None:
            self._keep(b"".join((*self._copy, last)), relay.usage, cost, relay.response_id)
        return last

    async def _settle(self, error: TollwayError | None) -> int:
        relay, call = self._relay, self._call
        call.upstream_s = time.perf_counter() - call.sent
        usage: Usage | None = relay.usage if relay.usage.total_tokens else None
        text, known = relay.text if usage is None else "", relay.known
        if self._is_accrued:
            usage, text, known = None, "", NO_USAGE
        if error is None:
            self._attempt.succeed(call, usage or NO_USAGE)
        elif isinstance(error, UpstreamError):
            self._attempt.fail(call, error)
        else:
            self._attempt.leave()
        return await self._settler.settle(
            call, usage, response_id=relay.response_id, text=text, known=known, error=error
        )


def client_gone() -> TollwayError:
    """The client closed the connection: nobody reads this, but the record and the metrics name it."""
    return TollwayError("The client closed the connection.", status=CLIENT_GONE_STATUS, type="client_disconnect")


def unreadable(deployment: Deployment, what: str) -> UpstreamError:
    """An answer with status 200 that is none."""
    return UpstreamError(
        f"litellm.APIError: {vendor_name(deployment)} - The provider's answer {what}.",
        error_class="APIError",
        upstream_status=200,
        is_retryable=True,
    )


def _not_a_stream(body: bytes, call: Call, deployment: Deployment) -> UpstreamError:
    """A provider answered a stream request with JSON: an error, or it does not stream."""
    assert call.conversation is not None
    if is_error_document(body):
        return call.conversation.refusal(status_in(body), body, ())
    return unreadable(deployment, "is not a stream, though one was asked for")


def _cut() -> UpstreamError:
    return UpstreamError(
        "litellm.APIConnectionError: The provider's stream ended before the answer was complete.",
        upstream_status=200,
        is_retryable=True,
    )
