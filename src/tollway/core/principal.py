"""Who is calling, what they may use, and every limit that applies to them."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal

import msgspec

from tollway.core.reporting import Report
from tollway.core.wishes import NO_WISHES, Wishes

ScopeKind = Literal[
    "proxy",
    "api_key",
    "key_window",
    "user",
    "team",
    "team_window",
    "team_member",
    "organization",
    "organization_member",
    "project",
    "end_user",
    "tag",
    "model_access_group",
    "session",
    "model_per_key",
    "model_per_user",
    "model_per_team",
    "model_per_project",
    "model_per_organization",
    "model_per_end_user",
    "deployment",
    "provider",
]
"""What counters are kept for. A `…_window` is one more budget of the same entity, over another period; a `session` is
one run of an agent under one key."""

GrantKind = Literal["key", "user", "team", "org", "project", "customer"]
"""Whose list of models it is, as the contract's error types name it (`team_model_access_denied`)."""

Dependency = tuple[str, str]
"""Kind and id of something that a principal was made from, as `core.changes` names it."""


class Role(StrEnum):
    """What a caller is, to the management plane. The names are the wire contract's."""

    PROXY_ADMIN = "proxy_admin"
    """Everything. The holder of the master key, and users with this role."""
    PROXY_ADMIN_VIEWER = "proxy_admin_viewer"
    """Sees everything, changes nothing."""
    ORG_ADMIN = "org_admin"
    """Manages the teams, users and keys of an organization."""
    TEAM_ADMIN = "team_admin"
    """Manages the members and keys of a team."""
    INTERNAL_USER = "internal_user"
    """Manages what is theirs. A key that belongs to nobody counts as one."""
    INTERNAL_USER_VIEWER = "internal_user_viewer"
    """Sees what is theirs, changes nothing."""
    TEAM = "team"
    """A key of a team that belongs to no user: service accounts."""
    CUSTOMER = "customer"
    """An end user of a caller; holds no key of Tollway's, so no route is open to it."""


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """One entity whose limits a call touches. `None` means no limit of that sort.

    Live counters are kept by the `CounterStore` under `key`; the limits travel with the principal, so that a changed
    limit applies as soon as the principal is loaded anew, and the counters go on.
    """

    kind: ScopeKind
    id: str
    label: str = ""
    """How messages call it: an alias, else the kind."""
    rpm: int | None = None
    tpm: int | None = None
    parallel: int | None = None
    budget_nanos: int | None = None
    soft_budget_nanos: int | None = None
    """Never refuses; crossing it is told."""
    max_calls: int | None = None
    """Calls in a whole budget window, those in flight included; no sliding rate."""
    max_repeats: int | None = None
    """How often in a row one and the same request is served."""
    fingerprint: str = ""
    """Of the request that is being made; only where `max_repeats` says something."""
    budget_duration: str | None = None
    """Reset period (`30d`); None: the budget never resets."""

    @property
    def key(self) -> tuple[str, str]:
        """Name of the counters."""
        return (self.kind, self.id)


def budget_only(scope: Scope) -> Scope:
    """The scope for more money of a call that is counted in it already."""
    return msgspec.structs.replace(scope, rpm=None, tpm=None, parallel=None, max_calls=None, max_repeats=None)


def without_limits(scope: Scope) -> Scope:
    """The scope for what is counted in it and nothing can refuse any more."""
    return msgspec.structs.replace(budget_only(scope), budget_nanos=None)


class Grant(msgspec.Struct, frozen=True):
    """The models that one owner allows. Every owner of a call has to allow its model."""

    kind: GrantKind
    models: frozenset[str]
    """Public names, patterns with `*` and names of access groups; empty: all."""


class SessionLimits(msgspec.Struct, frozen=True):
    """How far each session may go: one run of an agent, over all its calls. None: no limit of that sort."""

    max_calls: int | None = None
    budget_nanos: int | None = None
    max_repeats: int | None = None
    """How often in a row one and the same request is served."""

    def narrowed(self, other: SessionLimits) -> SessionLimits:
        """The smaller of both limits of each sort."""
        return SessionLimits(
            _least(self.max_calls, other.max_calls),
            _least(self.budget_nanos, other.budget_nanos),
            _least(self.max_repeats, other.max_repeats),
        )


def _least(one: int | None, other: int | None) -> int | None:
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)


NO_SESSION_LIMITS = SessionLimits()


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """An authenticated caller, loaded once and cached by key hash."""

    key_hash: str
    key_alias: str | None = None
    key_name: str = ""
    """Abbreviated key (`sk-...abcd`)."""
    is_admin: bool = False
    """Holder of the master key: limits and model lists do not apply."""
    role: Role = Role.INTERNAL_USER
    user_id: str | None = None
    team_id: str | None = None
    organization_id: str | None = None
    project_id: str | None = None
    grants: tuple[Grant, ...] = ()
    """What the key, its team, its user, … allow; an owner who allows all has none."""
    aliases: dict[str, str] = {}
    """Client's model name to the name to use instead."""
    allowed_routes: tuple[str, ...] = ()
    """Paths, prefixes (`/v1/*`) and route groups; empty: all."""
    is_blocked: bool = False
    blocked_by: tuple[str, str] | None = None
    """What else is blocked, and with it the key: (`Team`, its id)."""
    expires_at: float | None = None
    """Epoch seconds."""
    valid_until: float | None = None
    """Epoch seconds at which something in here changes by itself (a temporary budget ends); None: never."""
    tags: tuple[str, ...] = ()
    cache_controls: tuple[str, ...] = ()
    """Fields of `cache` that its callers may send; empty: all."""
    metadata: dict[str, Any] = {}
    permissions: dict[str, Any] = {}
    end_user_budget_id: str | None = None
    """Budget of end users of this key who have none of their own."""
    own: Scope | None = None
    """The key's own limits: one of `scopes`."""
    scopes: tuple[Scope, ...] = ()
    """Every entity whose limits apply to all calls of this key, in the order in which the contract asks them."""
    model_scopes: dict[str, tuple[Scope, ...]] = {}
    """Further limits by public model name."""
    wishes: Wishes = NO_WISHES
    """Of routing: what its `router_settings` say, and those of its team."""
    session_limits: SessionLimits = NO_SESSION_LIMITS
    """Of each session of this key: what key and team say, whichever is less."""
    reports: tuple[Report, ...] = ()
    """Who is told about its calls, as key and team say."""
    depends_on: frozenset[Dependency] = frozenset()
    """Everything whose change makes this principal out of date."""

    @property
    def spend_id(self) -> str:
        """What the key's spend and sessions are counted under: a regenerated key keeps it."""
        return self.own.id if self.own is not None else self.key_hash


class Stop(msgspec.Struct, frozen=True):
    """Somebody has stopped a session."""

    by: str
    reason: str
    """Empty if they gave none."""
    at: float
    """Epoch seconds."""


class Entity(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a single call names: its end user, a tag, an access group. Not part of the principal.

    The sessions of one key that were stopped are one of these too.
    """

    scope: Scope
    model_scopes: dict[str, Scope] = {}
    models: frozenset[str] = frozenset()
    """Empty: all."""
    default_model: str | None = None
    """Used where a call names none."""
    region: str = ""
    """`eu` or `us`: only deployments there may be asked; empty: any."""
    is_blocked: bool = False
    is_known: bool = True
    """False: an end user that is in no table yet."""
    stops: dict[str, Stop] = {}
    """Of a key: its stopped sessions, by their ids."""
    budget_id: str | None = None
    """The budget its limits come from, whether that exists or not: a change of it makes this entity out of date."""
    valid_until: float | None = None
    """Epoch seconds at which something in here changes by itself (a temporary budget ends); None: never."""
