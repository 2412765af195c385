"""Answers to questions in other words.

look ── admitted ── its words become a vector, by a call of the gateway's own ── the nearest answer in its bucket

A call is kept waiting for that no longer than it is told to, and whatever goes wrong, it is asked as if nobody had
looked. The vector is a call of its own in the ledger, at the expense of the same caller.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from math import isfinite

import msgspec

from tollway.core.caching import Caching, Likeness
from tollway.core.errors import TollwayError, UpstreamError
from tollway.core.snapshot import ModelGroup
from tollway.dialects.body import read_fields
from tollway.dialects.registry import find_identity
from tollway.gateway.admission import Admission
from tollway.gateway.caching import bucket_of
from tollway.gateway.call import Call, Controls
from tollway.gateway.question import Question, take_apart
from tollway.gateway.stream import client_gone
from tollway.ports.responses import KeptAnswer
from tollway.ports.similar import Meaning, Similar, SimilarAnswers
from tollway.routing.router import Router

ROUTE = "/semantic-cache"
"""What records and metrics of the calls for vectors have as their route."""

_log = logging.getLogger(__name__)


class _Vector(msgspec.Struct):
    embedding: tuple[float, ...]


class _Vectors(msgspec.Struct):
    data: list[_Vector]


_decode = msgspec.json.Decoder(_Vectors).decode
_encode = msgspec.json.Encoder().encode


class Resemblance:
    """Finds answers by meaning, for calls whose own question nobody has asked before."""

    def __init__(
        self,
        store: SimilarAnswers,
        admission: Admission,
        ask: Callable[[Call, ModelGroup], Awaitable[bytes]],
        settle_failure: Callable[[Call, TollwayError], Awaitable[None]],
        clock: Callable[[], float],
    ) -> None:
        """`ask` makes a call for the sake of another; `clock` gives epoch seconds."""
        self._store = store
        self._admission = admission
        self._ask = ask
        self._settle_failure = settle_failure
        self._clock = clock
        self._is_told = False

    async def look(
        self, call: Call, group: ModelGroup, caching: Caching, likeness: Likeness, router: Router
    ) -> Similar | None:
        """The answer to a question that is like the call's; None: there is none, or nobody can say.

        Afterwards the call knows its meaning, if anybody does. Raises what refuses the call.
        """
        question = take_apart(call.operation, call.request.fields)
        embedder = router.group(likeness.model)
        if question is None or embedder is None:
            return None
        await self._admission.admit_caller(call, group.deployments[0])
        deadline = asyncio.get_running_loop().time() + likeness.timeout_s
        vector = await self._vector(_call_aside(call, likeness, question.words), embedder, deadline)
        if vector is None:
            return None
        call.meaning = _meaning(call, group, caching, question, embedder, vector)
        control = call.controls.cache
        if control.skips_read:
            return None
        since = 0.0 if control.max_age_s is None else self._clock() - control.max_age_s
        try:
            async with asyncio.timeout_at(deadline):
                return await self._store.find(call.meaning, likeness.threshold, since=since)
        except TimeoutError:
            return None

    def put(self, key: str, answer: KeptAnswer, ttl_s: float, meaning: Meaning) -> None:
        """Keeps an answer to be found by its meaning too."""
        self._store.put_similar(key, answer, ttl_s, meaning)

    async def _vector(self, aside: Call, embedder: ModelGroup, deadline: float) -> tuple[float, ...] | None:
        try:
            async with asyncio.timeout_at(deadline):
                vector = _read_vector(await self._ask(aside, embedder))
        except TimeoutError:
            error: TollwayError = _too_slow(aside.requested_model)
        except TollwayError as failure:
            error = failure
        except asyncio.CancelledError:
            await self._settle_failure(aside, client_gone())
            raise
        else:
            self._tell_well()
            return vector
        self._tell(aside, error)
        with suppress(TollwayError):  # the journal is full: so the call itself is told
            await self._settle_failure(aside, error)
        return None

    def _tell(self, aside: Call, error: TollwayError) -> None:
        """Once, until it is well again: metrics count every failure."""
        if not self._is_told:
            # What limits say names their owner.
            said = error.message if isinstance(error, UpstreamError) else type(error).__name__
            _log.warning("semantic cache: %s makes no vectors (%s)", aside.requested_model, said)
        self._is_told = True

    def _tell_well(self) -> None:
        if self._is_told:
            _log.warning("semantic cache: there are vectors again")
            self._is_told = False


def _call_aside(call: Call, likeness: Likeness, words: str) -> Call:
    """For the vector of a call's words: of the same caller, for the same purpose."""
    aside = Call(operation="embeddings", path=ROUTE, headers={}, client_ip=call.client_ip, settings=call.settings)
    controls = call.controls
    aside.principal, aside.customer = call.principal, call.customer
    aside.limited = tuple(one for one in call.limited if one.scope.kind == "tag")
    aside.controls = Controls(
        tags=controls.tags,
        end_user=controls.end_user,
        session_id=controls.session_id,
        trace_id=controls.trace_id or call.call_id,
    )
    aside.requested_model = likeness.model
    aside.raw_body = _encode({"model": likeness.model, "input": words})
    identity = find_identity(aside.operation)
    aside.request = identity.read_request(read_fields(aside.raw_body), path_model=None, is_stream=False)
    return aside


def _meaning(
    call: Call, group: ModelGroup, caching: Caching, question: Question, embedder: ModelGroup, vector: tuple[float, ...]
) -> Meaning:
    # Vectors of different models cannot be compared, even where they are as long.
    models = ",".join(sorted({one.model_name for one in embedder.deployments}))
    bucket = bucket_of(call, group, caching, question.rest, embedder=f"{models} {len(vector)}")
    return Meaning(bucket, vector)


def _read_vector(body: bytes) -> tuple[float, ...]:
    """Raises `UpstreamError` for an answer that holds none."""
    try:
        vector = _decode(body).data[0].embedding
    except (msgspec.DecodeError, IndexError):
        vector = ()
    if not any(vector) or not all(map(isfinite, vector)):
        raise UpstreamError("The answer holds no vector.", upstream_status=200)
    return vector


def _too_slow(model: str) -> UpstreamError:
    return UpstreamError(
        f"litellm.Timeout: {model} took too long for the semantic cache.", status=408, error_class="Timeout"
    )
