"""What a call names: its end user, tags and access groups with their limits, and its session, which somebody may have
stopped. Cached like principals.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from tollway.core.changes import Change, ChangeKind, session_of
from tollway.core.errors import Forbidden, InvalidRequest, StoreUnavailable
from tollway.core.principal import Dependency, Entity, Stop
from tollway.policy.recently_used import RecentlyUsed
from tollway.policy.single_flight import SingleFlight
from tollway.ports.entities import EntityKind, EntityStore

_RETRY_STORE_S = 1.0

_Key = tuple[EntityKind, str, str | None]
"""Kind and id, and for an end user the budget of those who have none of their own."""

_CHANGED_AS: dict[EntityKind, ChangeKind] = {
    "end_user": "customer",
    "tag": "tag",
    "model_access_group": "model_access_group",
    "session": "session",
}
"""What a change of such an entity is called."""
_RELEVANT = frozenset({*_CHANGED_AS.values(), "budget"})


class _Cached(msgspec.Struct):
    entity: Entity | None
    fresh_until: float
    depends_on: tuple[Dependency, ...]


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
        self._cached: RecentlyUsed[_Key, _Cached] = RecentlyUsed(size, dependencies=lambda cached: cached.depends_on)
        self._flights: SingleFlight[tuple[_Key, int], Entity | None] = SingleFlight()
        self._version = 0

    async def find_end_user(
        self,
        id: str,
        *,
        default_budget_id: str | None = None,
        default_budget_nanos: int = 0,
        must_be_known: bool = False,
    ) -> Entity:
        """An end user who may call; one without a budget has the default (0: none).

        Raises `Forbidden` for a blocked one, `InvalidRequest` for one in no table if `must_be_known`, and
        `StoreUnavailable`.
        """
        found = await self._find("end_user", id, default_budget_id)
        assert found is not None  # the store finds every end user
        if found.is_blocked:
            raise Forbidden(
                f"The end user '{id}' is blocked from making LLM calls. Unblock with `/customer/unblock`.",
                param="user",
            )
        if must_be_known and not found.is_known:
            raise InvalidRequest(
                f"The end user '{id}' is not known, and this gateway serves known ones only "
                "(validate_end_user_id_in_db). Make it with POST /customer/new.",
                param="user",
            )
        if default_budget_nanos and found.scope.budget_nanos is None:
            scope = msgspec.structs.replace(found.scope, budget_nanos=default_budget_nanos)
            return msgspec.structs.replace(found, scope=scope)
        return found

    async def find_limited(self, *, tags: Iterable[str], access_groups: Iterable[str]) -> tuple[Entity, ...]:
        """Those among these tags and model access groups that have limits. Raises `StoreUnavailable`."""
        found = [await self._find("tag", tag) for tag in tags]
        found += [await self._find("model_access_group", group) for group in access_groups]
        return tuple(entity for entity in found if entity is not None)

    async def find_stop(self, spend_id: str, session_id: str) -> Stop | None:
        """Who stopped this session of this key, and why. Raises `StoreUnavailable`.

        All stopped sessions of a key are looked up together, so that a new session costs no look-up.
        """
        found = await self._find("session", spend_id)
        return found.stops.get(session_id) if found is not None else None

    def changed(self, change: Change) -> None:
        """Forgets what a change may have made out of date, loads under way included."""
        if change.kind in _RELEVANT:
            self._version += 1
            name = session_of(change.id)[0] if change.kind == "session" else change.id
            self._cached.drop_dependents((change.kind, name))

    def forget_all(self) -> None:
        """Anything may have changed: every entity is loaded anew."""
        self._version += 1
        self._cached.clear()

    async def _find(self, kind: EntityKind, id: str, default_budget_id: str | None = None) -> Entity | None:
        key = (kind, id, default_budget_id)
        cached = self._cached.get(key)
        now = self._clock()
        if cached is not None and now < cached.fresh_until:
            return cached.entity
        version = self._version
        try:
            return await self._flights.fetch((key, version), lambda: self._load(key, version))
        except StoreUnavailable:
            if cached is None:
                raise
            cached.fresh_until = now + _RETRY_STORE_S
            return cached.entity

    async def _load(self, key: _Key, version: int) -> Entity | None:
        """Asks the store and keeps the answer, unless something changed meanwhile: it may be the old one."""
        kind, name, default_budget_id = key
        entity = await self._store.find_entity(kind, name, default_budget_id=default_budget_id)
        if version == self._version:
            fresh_until = self._clock() + self._ttl_s
            depends_on: tuple[Dependency, ...] = ((_CHANGED_AS[kind], name),)
            if entity is not None and entity.budget_id is not None:
                depends_on += (("budget", entity.budget_id),)
            if entity is not None and entity.valid_until is not None:
                fresh_until = min(fresh_until, entity.valid_until)
            self._cached.put(key, _Cached(entity, fresh_until, depends_on))
        return entity
