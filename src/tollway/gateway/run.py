"""Serving one call: choose, reserve, attempt, relay, settle. Knows nothing of HTTP servers.

    Gateway.serve(call) ── Answer                      a whole answer, settled
                        └─ Stream ── forward(sink)     settled before its last bytes go out

An attempt that fails is followed by others for as long as `routing.course` has any left, before the first byte of an
answer has gone out. A call that was admitted is settled exactly once, whatever happens: success, error, a client that
leaves.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import TYPE_CHECKING

import msgspec

from tollway.core.errors import (
    ClientError,
    DeploymentFull,
    Forbidden,
    InvalidRequest,
    TollwayError,
    UnknownModel,
    UpstreamError,
)
from tollway.core.routing import Routing
from tollway.core.snapshot import Deployment, ModelGroup, TransportName
from tollway.core.usage import NO_USAGE
from tollway.gateway.admission import Admission
from tollway.gateway.affinity import affinity_of
from tollway.gateway.answer import Answer
from tollway.gateway.attempt import Attempt
from tollway.gateway.audience import audience_of
from tollway.gateway.begun import Begun, read_reply
from tollway.gateway.caching import cache_key
from tollway.gateway.call import Call
from tollway.gateway.conversation import converse, offers
from tollway.gateway.hedging import Race
from tollway.gateway.resemblance import Resemblance
from tollway.gateway.reuse import Reuse
from tollway.gateway.settle import Settler
from tollway.gateway.slots import Slots
from tollway.gateway.stream import GoOn, Replay, Stream, client_gone
from tollway.policy import access, limits, sessions
from tollway.policy.entities import Entities
from tollway.ports.counters import CounterStore
from tollway.ports.ledger import Journal
from tollway.ports.responses import ResponseStore
from tollway.ports.similar import SimilarAnswers
from tollway.ports.transport import Transport
from tollway.routing.balancer import Balancer
from tollway.routing.course import Course
from tollway.routing.failure import Failure, failure_of
from tollway.routing.router import Router
from tollway.routing.survey import Survey, Wanted

if TYPE_CHECKING:
    from tollway.gateway.threads import Threads


class Gateway:
    """Serves calls by the current router, which a reload replaces."""

    def __init__(
        self,
        *,
        router: Router,
        balancer: Balancer,
        transports: Mapping[TransportName, Transport],
        counters: CounterStore,
        seed: limits.Seed,
        journal: Journal,
        settler: Settler,
        entities: Entities,
        threads: Callable[[], Threads],
        answers: ResponseStore | None = None,
    ) -> None:
        """`threads` is asked for by calls of the Responses API alone."""
        self.router = router
        self.balancer = balancer
        self._entities = entities
        self.await_models: Callable[[], Awaitable[None]] | None = None
        """Awaited before a model is said to be unknown, as long as not all of them are known here."""
        self._transports = transports
        self._counters = counters
        self._admission = Admission(counters, seed)
        self._journal = journal
        self._settler = settler
        self._slots = Slots(counters)
        resemblance = None
        if isinstance(answers, SimilarAnswers):
            resemblance = Resemblance(answers, self._admission, self.ask_aside, self.settle_failure, time.time)
        self.reuse = None if answers is None else Reuse(answers, self._admission, settler, time.time, resemblance)
        """The cache of answers; None: nothing is kept."""
        self._threads = threads

    def route_by(self, router: Router) -> None:
        """Serves calls that come from now on by another snapshot."""
        self.router = router
        self.balancer.states.keep_only(router.snapshot.by_id.keys())

    async def serve(self, call: Call) -> Answer | Stream | Replay:
        """Serves an authenticated call whose request has been read.

        Raises `TollwayError`; `settle_failure` must then be called with it, and after a cancellation `abandon`.
        """
        if call.settings.reports or call.principal.reports:
            call.audience = audience_of(call)
        if call.controls.session_id:
            await self._meet_session(call)
        if call.end_user:
            await self._meet_customer(call)
        group = await self.find_group(call)
        if call.controls.tags or group.access_groups:
            await self._look_up_limited(call, group)
        if call.operation == "responses":
            call.thread = await self._threads().begin(call, group, self.router)
        self._journal.check()
        caching = self.router.snapshot.caching
        if caching is not None and self.reuse is not None and (call.thread is None or call.thread.is_repeatable):
            call.cache_key = cache_key(call, group, caching)
            if call.cache_key:
                return await self.reuse.serve(call, group, caching, self.router, self._ask)
        return await self._ask(call, group)

    def _check_fallback(self, call: Call, model: str) -> None:
        """Whoever names another model must be allowed to call it, other than where the operator does."""
        principal = call.principal
        wanted = access.apply_alias(principal, model)
        group = self.router.group(wanted, principal.team_id)
        if group is not None:
            is_of_team = group.team_id is not None
            access.check_model(principal, wanted, access_groups=group.access_groups, is_of_team=is_of_team)
            access.check_customer(call.customer, wanted, access_groups=group.access_groups)

    async def choose(self, call: Call) -> Deployment:
        """The deployment that a call would go to now; the call knows how it would be spoken to."""
        group = await self.find_group(call)
        if call.operation == "responses":
            call.thread = await self._threads().begin(call, group, self.router)
        return self._pick(call, group, self.routing_of(call))

    async def probe(self, call: Call, group: ModelGroup, deployment: Deployment) -> None:
        """Asks one deployment of a group once, whatever is known against it. A failure is to be settled as in `serve`.

        Raises `TollwayError`.
        """
        if group.access_groups:
            await self._look_up_limited(call, group)
        self._journal.check()
        call.group = call.asked_group = group
        call.deployment, call.conversation = deployment, converse(call, deployment)
        await self._admission.admit(call, deployment)
        try:
            await self._conclude(call, await self._begin(call, deployment, self.router.snapshot.routing))
        except _Failed as failed:
            raise failed.error from None

    async def ask_aside(self, call: Call, group: ModelGroup) -> bytes:
        """Asks a group once for what another call needs, at the expense of its caller. A failure is to be settled as in
        `serve`.

        Raises `TollwayError`.
        """
        routing = self.router.snapshot.routing
        self._journal.check()
        call.asked_group = group
        deployment = self._pick(call, group, routing)
        await self._admission.admit_aside(call, deployment)
        try:
            served = await self._conclude(call, await self._begin(call, deployment, routing))
        except _Failed as failed:
            raise failed.error from None
        assert isinstance(served, Answer)
        return served.body

    def routing_of(self, call: Call) -> Routing:
        """How a call is routed."""
        routing, strategy = self.router.snapshot.routing, call.controls.wishes.strategy
        return routing if strategy is None else msgspec.structs.replace(routing, strategy=strategy)

    async def find_group(self, call: Call) -> ModelGroup:
        """The model group to ask. Raises `Forbidden` or `UnknownModel`, or what the customer may not."""
        group = self._find(call)
        if group is None and self.await_models is not None:
            await self.await_models()
            group = self._find(call)
        principal, model = call.principal, call.requested_model
        wanted = access.apply_alias(principal, model)
        groups: frozenset[str] = group.access_groups if group is not None else frozenset()
        is_of_team = group is not None and group.team_id is not None
        access.check_model(principal, wanted, access_groups=groups, is_of_team=is_of_team)
        access.check_customer(call.customer, wanted, access_groups=groups)
        if group is None:
            raise _unknown_model(call, model)
        for fallback in call.controls.named_fallbacks:
            self._check_fallback(call, fallback)
        call.group = call.asked_group = group
        return group

    async def _ask(self, call: Call, group: ModelGroup) -> Answer | Stream:
        routing = self.routing_of(call)
        try:
            return await self._attempt(call, group, routing)
        except _Failed as failed:
            return await self._recover(call, group, routing, failed.error)

    async def settle_failure(self, call: Call, error: TollwayError) -> None:
        """Settles a call that ended in an error before any of its answer went out."""
        if call.is_settled:
            return
        if call.sent or call.tickets or call.tried:  # what was admitted is in the ledger, as it is in the counters
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

    async def _meet_session(self, call: Call) -> None:
        """Finds the limits of the call's session, unless somebody has stopped it."""
        principal, controls = call.principal, call.controls
        stop = await self._entities.find_stop(principal.spend_id, controls.session_id)
        if stop is not None:
            raise sessions.stopped(controls.session_id, stop)
        call.session = sessions.session_scope(
            *(principal, controls.session_id, call.settings, controls.session_limits), call.fingerprint
        )

    async def _meet_customer(self, call: Call) -> None:
        """Finds the end user, if they may call."""
        settings = call.settings
        call.customer = await self._entities.find_end_user(
            call.end_user,
            default_budget_id=call.principal.end_user_budget_id or settings.end_user_budget_id,
            default_budget_nanos=settings.end_user_budget_nanos,
            must_be_known=settings.refuses_unknown_end_users,
        )

    async def _look_up_limited(self, call: Call, group: ModelGroup) -> None:
        """Finds the tags and access groups of this call that have limits."""
        call.limited = await self._entities.find_limited(tags=call.controls.tags, access_groups=group.access_groups)

    async def _attempt(
        self, call: Call, group: ModelGroup, routing: Routing, tried: Collection[str] = ()
    ) -> Answer | Stream:
        """Asks one deployment of the group. Raises `_Failed` where another may do better."""
        deployment = await self._admit(call, group, routing, tried)
        after_s = routing.hedge_after_s
        is_bound = call.resumption is not None or call.thread is not None  # to one stream, or one conversation
        if after_s is None or is_bound or len(group.deployments) == 1:
            return await self._conclude(call, await self._begin(call, deployment, routing))

        def another(twin: Call) -> Deployment | None:
            asked = (*tried, deployment.id)
            try:
                found = self._pick(twin, group, routing, asked)
            except TollwayError:
                return None
            return None if found.id in asked else found

        race = Race(
            self._admission,
            self._settler,
            begin=lambda one, at: self._begin(one, at, routing),
            choose=another,
            drop=Begun.drop,
        )
        return await self._conclude(call, await race.run(call, deployment, after_s=after_s))

    async def _begin(self, call: Call, deployment: Deployment, routing: Routing) -> Begun:
        """Asks a deployment at which room is reserved. Raises `_Failed` where another may do better."""
        attempt = Attempt(self.balancer, routing, deployment)
        try:
            response = await attempt.send(call, self._transports)
            if not call.request.is_stream:
                return Begun(attempt, response.headers, reply=await read_reply(call, attempt, response))
            remembers = call.resumption is None and self._continues(call, routing)
            stream = Stream(call, attempt, response, self._settler, remembers=remembers)
            # Its beginning is awaited, so that a provider that fails before can be replaced.
            await stream.open()
            return Begun(attempt, response.headers, stream=stream)
        except (UpstreamError, InvalidRequest) as error:
            attempt.fail(call, error)
            raise _Failed(error) from None
        except BaseException:
            attempt.leave()
            raise

    async def _conclude(self, call: Call, begun: Begun) -> Answer | Stream:
        """Makes what a deployment has begun the answer of the call: a whole one is settled."""
        caching = self.router.snapshot.caching
        keep = None if self.reuse is None or caching is None else self.reuse.keeping(call, caching)
        stream, reply = begun.stream, begun.reply
        if stream is not None:
            stream.serve(call, keep, self._going_on(call))
            try:
                if call.principal.own is not None:
                    call.spent_nanos = await self._counters.spent(call.principal.own)
            except BaseException:
                stream.drop()
                raise
            return stream
        assert reply is not None
        if call.audience is not None:
            call.audience.answer.add(reply.body)
        begun.attempt.succeed(call, reply.usage or NO_USAGE)
        cost = await self._settler.settle(call, reply.usage, response_id=reply.response_id, text=reply.text)
        if call.thread is not None and call.is_translated:
            await call.thread.keep(reply.body, begun.attempt.deployment, reply.response_id)
        if keep is not None:
            keep(reply.body, reply.usage, cost, reply.response_id)
        return Answer(reply.body, begun.headers, cost)

    async def _admit(self, call: Call, group: ModelGroup, routing: Routing, tried: Collection[str]) -> Deployment:
        """Reserves at a deployment of the group that has room."""
        refused: dict[str, DeploymentFull] = {}
        while True:
            try:
                deployment = self._pick(call, group, routing, (*tried, *refused) if refused else tried)
            except TollwayError as error:
                raise _Failed(error) from None
            if deployment.id in refused:
                if not await self._slots.came_free(call, group, refused[deployment.id]):
                    raise _Failed(refused[deployment.id])
                refused.clear()
                continue
            try:
                await self._admission.admit(call, deployment)
            except DeploymentFull as error:
                refused[deployment.id] = error
            else:
                return deployment

    def _pick(self, call: Call, group: ModelGroup, routing: Routing, tried: Collection[str] = ()) -> Deployment:
        surveys: list[Survey] = []
        try:
            deployment = self.balancer.pick(group, routing, wanted_of(call, routing), tried, surveys)
        finally:
            for survey in surveys:
                call.note_survey(group, survey)
        call.group, call.deployment = group, deployment
        call.conversation = converse(call, deployment)
        return deployment

    async def _recover(self, call: Call, group: ModelGroup, routing: Routing, error: TollwayError) -> Answer | Stream:
        """Goes on after a failure for as long as there is something left to try. Raises the last failure."""
        course = Course(group.name, routing, call.controls.wishes)
        cause: TollwayError | None = None  # what the group before this one failed with
        while True:
            if call.deployment is not None:
                course.note(call.deployment.id)
                course.tried.update(one.deployment_id for one in call.tried if one.group == group.name)
            step = self._next_step(call, group, routing, course, failure_of(error))
            if cause is not None and (step is None or step[0] is not group):
                self._settler.count_fallback(call, group.name, cause, is_success=False)
            if step is None:
                raise error
            if step[0] is not group:
                cause = error
            group, pause_s = step
            self._settler.count_attempt(call, error)
            call.begin_again(retries=course.retries, fallbacks=course.fallbacks, pause_s=pause_s)
            if pause_s:
                await asyncio.sleep(pause_s)
            try:
                served = await self._attempt(call, group, routing, course.tried)
            except _Failed as failed:
                error = failed.error
                continue
            except ClientError:
                # The caller's own limits have no room for what this deployment costs; why the first failed is the news.
                continue
            if cause is not None:
                self._settler.count_fallback(call, group.name, cause, is_success=True)
            return served

    def _next_step(
        self, call: Call, group: ModelGroup, routing: Routing, course: Course, failure: Failure
    ) -> tuple[ModelGroup, float] | None:
        """The group to ask next, the same or another, and after how many seconds; None: there is none."""
        able = self.balancer.survey(group, routing, wanted_of(call, routing)).candidates
        others = [one for one in able if one.id not in course.tried]
        if course.may_retry(failure, others=bool(others)):
            pause_s = course.pause_s(failure) if able and not others else 0.0
            if pause_s < call.seconds_left:
                course.retries += 1
                return group, pause_s
        if others and course.may_fall_back and min(one.order for one in others) > _least_order(group):
            course.fallbacks += 1
            return group, 0.0
        while (name := course.next_group(failure)) is not None:
            found = self.router.group(name, call.principal.team_id)
            if found is not None and self._may_fall_back(call, name) and _is_known_to(call, found):
                return found, 0.0
        return None

    def _may_fall_back(self, call: Call, name: str) -> bool:
        if not call.settings.checks_fallbacks and name not in call.principal.wishes.named:
            return True
        try:
            self._check_fallback(call, name)
        except Forbidden:
            return False
        return True

    def _continues(self, call: Call, routing: Routing) -> bool:
        return routing.continues_streams and not call.controls.wishes.refuses_fallbacks

    def _going_on(self, call: Call) -> GoOn | None:
        """Has others go on with a stream that breaks off, if that is wanted."""
        routing = self.router.snapshot.routing
        if not self._continues(call, routing):
            return None

        async def go_on(error: UpstreamError) -> Stream | None:
            assert call.group is not None
            try:
                served = await self._recover(call, call.group, routing, error)
            except TollwayError:
                return None
            assert isinstance(served, Stream)
            return served

        return go_on


class _Failed(Exception):
    """An attempt failed, or there was nobody to ask: another deployment, or another model, may do better."""

    def __init__(self, error: TollwayError) -> None:
        super().__init__(error.message)
        self.error = error


def wanted_of(call: Call, routing: Routing) -> Wanted:
    """What a call asks of a deployment."""
    return Wanted(
        operation=call.operation,
        can_serve=offers(call),
        tags=call.controls.tags,
        region=call.customer.region if call.customer is not None else "",
        prompt_bytes=len(call.raw_body),
        is_explained=call.controls.explains,
        affinity=affinity_of(call, routing) if routing.affinities else "",
    )


def _is_known_to(call: Call, group: ModelGroup) -> bool:
    """Whether somebody of the group knows what the call goes on from."""
    return call.thread is None or any(map(call.thread.fits, group.deployments))


def _least_order(group: ModelGroup) -> int:
    return min(one.order for one in group.deployments)


def _default_model(call: Call) -> str | None:
    of_customer = call.customer.default_model if call.customer is not None else None
    return of_customer or call.settings.default_model


def _unknown_model(call: Call, model: str) -> UnknownModel:
    if call.operation == "chat":
        text = f"litellm.BadRequestError: You passed in model={model}. There are no healthy deployments for this model"
    else:
        text = (
            f"/{call.operation}: Invalid model name passed in model={model}. "
            "Call `/v1/models` to view available models for your key."
        )
    return UnknownModel(text, param="model")
