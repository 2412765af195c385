"""Finding what a call of the Responses API goes on from; see `gateway.thread`."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from tollway.core.errors import InvalidRequest, NotFound
from tollway.core.principal import Principal
from tollway.core.snapshot import Deployment, ModelGroup
from tollway.core.windows import duration_s
from tollway.dialects.body import Fields
from tollway.dialects.responses.compaction import expanded, summing_up
from tollway.dialects.responses.state import ResponseState, extend, known_items, previous_id, references, resolve
from tollway.gateway.archive import LONGEST_CHAIN, Archive
from tollway.gateway.attempt import COMPACT
from tollway.gateway.call import Call
from tollway.gateway.response_ids import ResponseIds, UpstreamResponse, owner_of
from tollway.gateway.thread import Thread
from tollway.policy import access
from tollway.routing.router import Router

_NULL, _FALSE = msgspec.Raw(b"null"), msgspec.Raw(b"false")
_OF_ITEM = re.compile(r"_([0-9a-f]{32})_\d+$")
"""What of an item's id is its response's: see `item_id`."""
_encode = msgspec.json.Encoder().encode


class Threads:
    """Finds what calls go on from."""

    def __init__(self, archive: Archive, ids: ResponseIds) -> None:
        self._archive = archive
        self._ids = ids

    async def begin(self, call: Call, group: ModelGroup, router: Router) -> Thread:
        """The place of a call in its conversation; its request is made one that stands for itself, or that its
        deployment understands.

        Raises `NotFound` for a response that is not there, or not the caller's.
        """
        await self._ids.ready()
        settings, fields = call.settings, call.request.fields
        keeps = settings.stores_responses and not call.path.endswith(COMPACT) and fields.get("store", _NULL) != _FALSE
        owner = owner_of(call.principal)
        thread = Thread(
            self._archive,
            self._ids,
            owner=owner,
            id="resp_" + call.record_id.replace("-", ""),
            body=call.raw_body,
            keeps_for_s=duration_s(settings.responses_kept) if keeps else 0.0,
        )
        states: list[ResponseState] = []
        previous = previous_id(fields)
        if previous:
            thread.previous = previous
            states = await self._go_on(call, group, router, thread, previous)
        await self._resolve(call, states)
        fields = expanded(call.request.fields, lambda sealed: self._ids.read_summary(sealed, owner))
        if fields is not call.request.fields:
            _replace(call, fields)
        if call.path.endswith(COMPACT):
            _begin_compaction(call, thread)
        return thread

    async def _go_on(
        self, call: Call, group: ModelGroup, router: Router, thread: Thread, previous: str
    ) -> list[ResponseState]:
        fields, settings, owner = call.request.fields, call.settings, owner_of(call.principal)
        kept = self._ids.read(previous)
        if kept is not None:
            if kept.owner != owner and not settings.shares_responses:
                raise unknown(previous)
            thread.stick(kept.id, _targets(call, group, router, kept, previous))
            _replace(call, {**fields, "previous_response_id": msgspec.Raw(_encode(kept.id))})
            return []
        states = await self._archive.chain(previous, None if settings.shares_responses else owner)
        if states:
            _refuse_gap(states, previous)
            _replace(call, extend(fields, states))
            return states
        if not settings.allows_foreign_responses and not settings.shares_responses:
            raise unknown(previous)
        thread.leave(previous)
        return []

    async def _resolve(self, call: Call, states: Sequence[ResponseState]) -> None:
        """Items that the request only refers to, of responses that are kept here, are put in their place."""
        fields = call.request.fields
        if b'"item_reference"' not in bytes(fields.get("input", _NULL)):
            return
        items = known_items(states)
        wanted = [name for name in references(fields) if name not in items]
        owner = None if call.settings.shares_responses else owner_of(call.principal)
        for response in dict.fromkeys(f"resp_{match[1]}" for name in wanted if (match := _OF_ITEM.search(name))):
            found = await self._archive.find(response, owner)
            if found is not None:
                items |= known_items([found])
        if items:
            _replace(call, resolve(fields, items))


def unknown(id: str, param: str | None = "previous_response_id") -> NotFound:
    """There is no such response for this caller."""
    what = "Previous response" if param else "Response"
    return NotFound(
        f"{what} with id '{id}' not found. It has expired or was deleted, was made with 'store': false, or belongs to "
        "somebody else.",
        param=param,
        type="invalid_request_error",
    )


def deployment_gone(kept: UpstreamResponse, id: str, param: str | None = None) -> NotFound:
    """Its provider may have it still, but nobody here knows how to ask."""
    return NotFound(
        f"The response '{id}' is kept by the deployment {kept.deployment_id}, which is no longer configured. "
        "Send the whole conversation in 'input'.",
        param=param,
        type="invalid_request_error",
    )


def find_deployment(kept: UpstreamResponse, principal: Principal, router: Router) -> Deployment | None:
    """The deployment that keeps a response; None if it is gone."""
    group = router.snapshot.by_id.get(kept.deployment_id)
    if group is None:  # made from a pattern
        group = router.group(access.apply_alias(principal, kept.model), principal.team_id)
    deployments = group.deployments if group is not None else ()
    return next((one for one in deployments if one.id == kept.deployment_id), None)


def _targets(
    call: Call, group: ModelGroup, router: Router, kept: UpstreamResponse, previous: str
) -> Sequence[Deployment]:
    """The deployments of the group that know the response: the one that keeps it, else those of the same account."""
    own = [one for one in group.deployments if one.id == kept.deployment_id]
    if own:
        return own
    keeper = find_deployment(kept, call.principal, router)
    if keeper is None:
        raise deployment_gone(kept, previous, "previous_response_id")
    kin = [one for one in group.deployments if _shares_account(one, keeper)]
    if not kin:
        raise InvalidRequest(
            f"The response '{previous}' is kept by the provider of model '{kept.model}', and '{group.name}' is served "
            f"by another. Go on with '{kept.model}', or send the whole conversation in 'input'.",
            param="previous_response_id",
        )
    return kin


def _shares_account(one: Deployment, other: Deployment) -> bool:
    mine, its = one.endpoints.get("responses"), other.endpoints.get("responses")
    if mine is None or its is None or mine.credential is not its.credential:
        return False
    return (mine.origin, mine.headers) == (its.origin, its.headers)


def _refuse_gap(states: Sequence[ResponseState], previous: str) -> None:
    """Half a conversation would be answered as if it were all of it."""
    missing = states[0].previous
    if missing is None:
        return
    if len(states) >= LONGEST_CHAIN:
        raise InvalidRequest(
            f"The conversation before '{previous}' has more than {LONGEST_CHAIN} responses. Begin a new one.",
            param="previous_response_id",
        )
    raise NotFound(
        f"The conversation before '{previous}' is not complete: the response '{missing}' has expired or was deleted. "
        "Send the whole conversation in 'input'.",
        param="previous_response_id",
        type="invalid_request_error",
    )


def _begin_compaction(call: Call, thread: Thread) -> None:
    if call.request.is_stream:
        raise InvalidRequest("A compaction is not streamed. Leave 'stream' out.", param="stream")
    thread.is_compaction = True
    call.raw_body = _encode(summing_up(call.request.fields))  # what is reserved is for the longer of both


def _replace(call: Call, fields: Fields) -> None:
    call.request = msgspec.structs.replace(call.request, fields=fields)
    call.raw_body = _encode(fields)
