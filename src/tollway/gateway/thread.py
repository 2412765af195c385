"""One call's place in a conversation of the Responses API: what it goes on from, and what will go on from it.

A provider that speaks the API keeps its responses itself: the caller gets a sealed id, and what goes on from that goes
to the same deployment. For all others the gateway keeps them, and puts the conversation so far before the new input.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tollway.core.snapshot import Deployment
from tollway.dialects.body import Fields
from tollway.dialects.identity import Identity
from tollway.dialects.responses.compaction import compacted, summing_up
from tollway.dialects.responses.naming import ResponseNames
from tollway.dialects.responses.relay import ResponsesIdentity
from tollway.dialects.responses.state import ended_with, remember
from tollway.gateway.archive import Archive
from tollway.gateway.response_ids import ResponseIds, UpstreamResponse


class Thread:
    """One call's place in its conversation. Holds nothing of the call."""

    __slots__ = (
        "_archive",
        "_body",
        "_ids",
        "_keeps_for_s",
        "_known",
        "id",
        "is_compaction",
        "owner",
        "previous",
        "targets",
    )

    def __init__(
        self, archive: Archive, ids: ResponseIds, *, owner: str, id: str, body: bytes, keeps_for_s: float
    ) -> None:
        """`body`: as the caller sent it; `keeps_for_s`: 0 where the answer is not to be kept."""
        self._archive = archive
        self._ids = ids
        self.owner = owner
        """Who may use its answer."""
        self._body = body
        self._keeps_for_s = keeps_for_s
        self._known: dict[str, str] = {}
        self.id = id
        """Of the answer, where the provider does not keep it."""
        self.previous = ""
        """The response it goes on from, as the caller calls it."""
        self.is_compaction = False
        """It is to be summed up rather than gone on from."""
        self.targets: frozenset[str] = frozenset()
        """Ids of the only deployments that can go on from it; empty: all can."""

    @property
    def is_kept(self) -> bool:
        """Whether the answer of a provider that does not keep it is kept here."""
        return self._keeps_for_s > 0

    @property
    def is_repeatable(self) -> bool:
        """Whether the same body asks the same."""
        return not self.previous and not self.is_compaction

    def fits(self, deployment: Deployment) -> bool:
        """Whether a deployment knows what the call goes on from."""
        return not self.targets or deployment.id in self.targets

    def stick(self, upstream_id: str, targets: Sequence[Deployment]) -> None:
        """Only these deployments know what it goes on from, by this id."""
        self._known[upstream_id] = self.previous
        self.targets = frozenset(one.id for one in targets)

    def leave(self, upstream_id: str) -> None:
        """An id that is passed on as it is."""
        self._known[upstream_id] = upstream_id

    def identity(self, public_model: str, deployment: Deployment) -> Identity:
        """How the format passes through to a deployment, the responses named as the caller is to know them."""
        return ResponsesIdentity(ResponseNames(self._write(public_model, deployment), self._known))

    def translated(self, fields: Fields) -> Fields:
        """What a deployment that does not speak the API is to be told."""
        return summing_up(fields) if self.is_compaction else fields

    def answered(self, body: bytes) -> bytes:
        """What its answer comes to."""
        if not self.is_compaction:
            return body
        return compacted(body, lambda text: self._ids.write_summary(text, self.owner))

    def _write(self, public_model: str, deployment: Deployment) -> Callable[[str], str]:
        ids, owner = self._ids, self.owner
        return lambda upstream_id: ids.write(UpstreamResponse(deployment.id, public_model, owner, upstream_id))

    async def keep(self, answer: bytes, deployment: Deployment, upstream_id: str) -> None:
        """Keeps an answer, so that calls can go on from it."""
        if self._keeps_for_s:
            state = remember(self._body, answer, owner=self.owner)
            await self._archive.add(
                state, deployment_id=deployment.id, upstream_id=upstream_id, kept_s=self._keeps_for_s
            )

    async def keep_stream(self, end: bytes, deployment: Deployment, upstream_id: str) -> None:
        """The same for one that was streamed: `end` has its last event."""
        answer = ended_with(end) if self._keeps_for_s else None
        if answer is not None:
            await self.keep(answer, deployment, upstream_id)
