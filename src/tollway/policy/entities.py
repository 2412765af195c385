"""Who a call is for: the end user, tags and access groups that it names, with their limits. Cached like principals."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from tollway.core.changes import Change, ChangeKind
from tollway.core.errors import Forbidden, StoreUnavailable
from tollway.core.principal import Entity
from tollway.policy.recently_used import RecentlyUsed
from tollway.policy.single_flight import SingleFlight
from tollway.ports.entities import EntityKind, EntityStore

_RETRY_STORE_S = 1.0


_FORGOTTEN: dict[ChangeKind, EntityKind | None] = {
    "customer": "end_user",
    "tag": "tag",
    "model_access_group": "model_access_group",
    "budget": None,
}
"""Which entities a change makes out of date; None: nobody knows, so all."""


class _Cached(msgspec.Struct):
    entity: Entity | None
    fresh_until: float
    names: tuple[EntityKind, str]


class Named(msgspec.Struct, frozen=True):
    """The entities of one call."""

    end_user: Entity | None = None
    others: tuple[Entity, ...] = ()
    """Tags and access groups that have limits."""


class Entities:
    """Finds what calls name. An entity is loaded once and used for `ttl_s`; changes in between arrive by `changed`.

    While the store is away an entity that was loaded before goes on being used.
    """

    def __init__(
        self, store: EntityStore, clock: Callable[[], float], *, ttl_s: float = 60.0, size: int = 100_000
    ) -> None:
        """`clock` gives epoch seconds; `size` bounds the entities kept."""
        self._store = store
        self._clock = clock
        self._ttl_s = ttl_s
        self._size = size
        self._cached = self._nothing()
        self._flights: SingleFlight[tuple[str, int], Entity | None] = SingleFlight()
        self._version = 0

    async def find(
        self,
        *,
        end_user: str,
        default_budget_id: str | None,
        tags: Iterable[str] = (),
        access_groups: Iterable[str] = (),
    ) -> Named:
        """What a call names. Raises `Forbidden` for a blocked end user, and `StoreUnavailable`."""
        person = await self._find("end_user", end_user, default_budget_id) if end_user else None
        if person is not None and person.is_blocked:
            raise Forbidden(
                f"The end user '{end_user}' is blocked from making LLM calls. Unblock with `/customer/unblock`.",
                param="user",
            )
        others = [await self._find("tag", tag) for tag in tags]
        others += [await self._find("model_access_group", group) for group in access_groups]
        return Named(person, tuple(entity for entity in others if entity is not None))

    def changed(self, change: Change) -> None:
        """Forgets what a change may have made out of date."""
        if change.kind not in _FORGOTTEN:
            return
        self._version += 1
        kind = _FORGOTTEN[change.kind]
        if kind is None:
            self._cached = self._nothing()
        else:
            self._cached.drop_dependents((kind, change.id))

    async def _find(self, kind: EntityKind, id: str, default_budget_id: str | None = None) -> Entity | None:
        key = f"{kind}:{default_budget_id or ''}:{id}"
        cached = self._cached.get(key)
        now = self._clock()
        if cached is not None and now < cached.fresh_until:
            return cached.entity
        version = self._version
        try:
            return await self._flights.fetch(
                (key, version), lambda: self._load(kind, id, default_budget_id, key, version)
            )
        except StoreUnavailable:
            if cached is None:
                raise
            cached.fresh_until = now + _RETRY_STORE_S
            return cached.entity

    async def _load(
        self, kind: EntityKind, id: str, default_budget_id: str | None, key: str, version: int
    ) -> Entity | None:
        entity = await self._store.find_entity(kind, id, default_budget_id=default_budget_id)
        if version == self._version:
            self._cached.put(key, _Cached(entity, self._clock() + self._ttl_s, (kind, id)))
        return entity

    def _nothing(self) -> RecentlyUsed[_Cached]:
        return RecentlyUsed(self._size, dependencies=lambda cached: (cached.names,))
