"""Everything the management plane is handed by the composition root."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Depends, Request

from tollway.config.configuration import Configuration, ModelEntry, StoredSettings
from tollway.config.sealing import Sealer
from tollway.core.changes import NumberedChange
from tollway.core.errors import InvalidRequest
from tollway.core.health import Checked
from tollway.core.principal import Principal
from tollway.core.snapshot import Settings, Snapshot
from tollway.policy.gate import Gate
from tollway.ports.responses import ResponseStore
from tollway.ports.spend import SpendReader
from tollway.stores.sql.keys import SqlKeyStore

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from tollway.accounting.ledger import Ledger
    from tollway.accounting.price_book import PriceBook


@dataclass(frozen=True, slots=True)
class KeyPolicy:
    """How keys are made here, from the configuration. Fields under their names on the wire."""

    defaults: Mapping[str, Any] = field(default_factory=dict)
    """`default_key_generate_params`: fills what the request leaves empty."""
    ceilings: Mapping[str, Any] = field(default_factory=dict)
    """`upperbound_key_generate_params`: the most that a key may have; on generate also the default."""
    allows_custom_keys: bool = True
    shows_key_name: bool = True
    grace_period: str | None = None
    """How long a regenerated key's old value goes on working, where the request does not say."""
    entropy_bytes: int = 16
    min_custom_length: int = 16


@dataclass(frozen=True, slots=True)
class TeamPolicy:
    """How teams are made here, from the configuration. Fields under their names on the wire."""

    defaults: Mapping[str, Any] = field(default_factory=dict)
    """`default_team_params`: fills what the request leaves empty."""
    adds_administrators: bool = True
    """A proxy admin who makes a team becomes an admin of it."""
    available_teams: Sequence[str] = ()
    """Teams that users may join by themselves."""
    metadata_fields: Sequence[Mapping[str, str]] = ()
    """`team_metadata_schema`: entries (`key`, `label`) that forms ask for."""


@dataclass(frozen=True, slots=True)
class Policies:
    """What the configuration says about things that are made here."""

    keys: KeyPolicy = KeyPolicy()
    teams: TeamPolicy = TeamPolicy()
    user_defaults: Mapping[str, Any] = field(default_factory=dict)
    """What a new user gets where the request is silent: `default_internal_user_params` and the like."""
    stores_audit_log: bool = True
    """Whether changes leave a row in the audit log."""


async def _refuse_to_try(entry: ModelEntry) -> Checked:
    raise InvalidRequest("This gateway calls nobody.")


async def _refuse_to_tell(name: str) -> None:
    raise InvalidRequest("This gateway tells nobody.")


@dataclass(frozen=True, slots=True)
class Services:
    """Built once, by `app`; nothing here is looked up anywhere else."""

    engine: AsyncEngine
    keys: SqlKeyStore
    ledger: Ledger
    spend: SpendReader
    authenticate: Callable[[Mapping[bytes, bytes]], Awaitable[Principal]]
    """Who sent these headers (names in lower case). Raises `Unauthenticated`."""
    changed: Callable[[Sequence[NumberedChange]], Awaitable[None]]
    """Tells every process what is not what it was; returns when this one has heard."""
    told_by: str
    """This process, in what is noted of changes."""
    clock: Callable[[], float]
    """Epoch seconds."""
    prices: PriceBook
    snapshot: Callable[[], Snapshot]
    """The one in force."""
    configuration: Callable[[], Configuration]
    """The one in force."""
    lendable: Callable[[], Mapping[str, str]]
    """The environment variables that models may refer to."""
    sealer: Sealer
    policies: Callable[[], Policies]
    """Those in force."""
    try_settings: Callable[[StoredSettings], Awaitable[Configuration]]
    """What these settings of the database would come to, everything worth knowing among its notices."""
    answers: ResponseStore | None = None
    """Where answers are kept; None: nowhere."""
    try_deployment: Callable[[ModelEntry], Awaitable[Checked]] = _refuse_to_try
    """Asks a deployment that is not served. Raises `ConfigurationError` for one that could not be."""
    try_service: Callable[[str], Awaitable[None]] = _refuse_to_tell
    """Sends a test to a callback or a channel of alerts. Raises `TollwayError`: 422 where it lacks something."""
    gate: Gate = field(default_factory=Gate)
    """Where calls of this process enter."""

    @property
    def key_policy(self) -> KeyPolicy:
        """How keys are made."""
        return self.policies().keys

    @property
    def team_policy(self) -> TeamPolicy:
        """How teams are made."""
        return self.policies().teams

    @property
    def user_defaults(self) -> Mapping[str, Any]:
        """What a new user gets where the request is silent."""
        return self.policies().user_defaults

    @property
    def stores_audit_log(self) -> bool:
        """Whether changes leave a row in the audit log."""
        return self.policies().stores_audit_log

    @property
    def settings(self) -> Settings:
        """Settings in force."""
        return self.snapshot().settings


async def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


async def _caller(request: Request) -> Principal:
    principal: Principal = request.state.actor.principal
    return principal


ServicesDep = Annotated[Services, Depends(_services)]
Caller = Annotated[Principal, Depends(_caller)]
"""Whoever authenticated; set by `kit.guard`."""
