"""The management plane on real parts: database, journal, ledger, counters, authenticator. No server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import yaml
from fastapi import FastAPI
from sqlalchemy import select
from tests.support.clock import FakeClock
from tests.support.databases import open_database
from tests.support.records import make_record

from tollway.accounting.journal import FileJournal
from tollway.accounting.ledger import Ledger
from tollway.accounting.price_book import PriceBook
from tollway.app.management import policies_of
from tollway.app.serving import Served
from tollway.config.configuration import Configuration
from tollway.config.load import load
from tollway.config.sealing import Sealer
from tollway.control.api import create_app
from tollway.control.kit.spending import charge_of
from tollway.control.services import KeyPolicy, Policies, Services, TeamPolicy
from tollway.core.changes import SERVED, NumberedChange
from tollway.core.ids import hash_key
from tollway.core.money import nanos_from_dollars
from tollway.core.principal import Principal, Scope
from tollway.core.record import Record
from tollway.core.snapshot import Deployment, ModelGroup, Settings, Snapshot
from tollway.db.audit import audit_log
from tollway.db.engine import reading
from tollway.policy.auth import Authenticator, find_credential
from tollway.stores.memory.counters import MemoryCounterStore
from tollway.stores.memory.responses import MemoryResponseStore
from tollway.stores.sql.keys import SqlKeyStore
from tollway.stores.sql.ledger import SqlLedgerStore
from tollway.stores.sql.models import SqlModelStore
from tollway.stores.sql.principals import key_scope
from tollway.stores.sql.spend import SqlSpendReader

MASTER_KEY = "sk-master-key-of-the-tests"
SALT_KEY = "sk-salt-key-of-the-tests"
PRICES = PriceBook.load()


def make_snapshot(*groups: ModelGroup, **settings: Any) -> Snapshot:
    """What is served, with these groups."""
    return Snapshot(groups={group.name: group for group in groups}, settings=Settings(**settings))


def make_group(name: str, *, provider: str = "openai", model: str = "gpt-4o", **deployment: Any) -> ModelGroup:
    """A public name with one deployment, priced by the book."""
    facts = PRICES.find(provider, model)
    assert facts is not None
    known: dict[str, Any] = {
        "price": facts.price,
        "max_input_tokens": facts.max_input_tokens,
        "max_output_tokens": facts.max_output_tokens,
    }
    one = Deployment(
        **(known | deployment),
        id=f"id-of-{name}",
        group=name,
        provider=provider,
        model=model,
        model_name=f"{provider}/{model}",
    )
    return ModelGroup(name=name, deployments=(one,))


@dataclass
class Management:
    """The application and what is behind it."""

    app: FastAPI
    client: httpx.AsyncClient
    services: Services
    ledger: Ledger
    journal: FileJournal
    authenticator: Authenticator
    clock: FakeClock
    told: list[str] = field(default_factory=list)
    """Ids that other workers were told about."""

    async def get(self, path: str, *, by: str = MASTER_KEY, **query: Any) -> httpx.Response:
        """A request with the key `by`."""
        return await self.client.get(path, params=query or None, headers=bearer(by))

    async def send(self, method: str, path: str, body: Any = None, *, by: str = MASTER_KEY) -> httpx.Response:
        """A request with the key `by`."""
        return await self.client.request(method, path, json=body, headers=bearer(by))

    async def post(self, path: str, body: Any = None, *, by: str = MASTER_KEY, **headers: str) -> httpx.Response:
        """A request with the key `by`; underscores in names of headers stand for hyphens."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if body is None:
            return await self.client.post(path, headers=bearer(by) | named)
        return await self.client.post(path, json=body, headers=bearer(by) | named)

    async def audited(self, object_id: str) -> set[tuple[str, str]]:
        """Action and table of every change of this."""
        query = select(audit_log.c.action, audit_log.c.resource).where(audit_log.c.object_id == object_id)
        async with reading(self.services.engine) as connection:
            return {(action, table) for action, table in await connection.execute(query)}

    async def patch(self, path: str, body: Any, *, by: str = MASTER_KEY) -> httpx.Response:
        """A request with the key `by`."""
        return await self.send("PATCH", path, body, by=by)

    async def new_team(self, **fields: Any) -> dict[str, Any]:
        """What `/team/new` answers."""
        made: dict[str, Any] = good(await self.post("/team/new", fields))
        return made

    async def new_key(self, **fields: Any) -> dict[str, Any]:
        """What `/key/generate` answers."""
        made: dict[str, Any] = good(await self.post("/key/generate", fields))
        return made

    async def new_user(self, **fields: Any) -> dict[str, Any]:
        """What `/user/new` answers; without an id, one is made up."""
        made: dict[str, Any] = good(await self.post("/user/new", fields))
        return made

    async def info(self, key: str) -> dict[str, Any]:
        """`info` of `/key/info`."""
        info: dict[str, Any] = good(await self.get("/key/info", key=key))["info"]
        return info

    async def call_as(self, key: str, dollars: float) -> Record:
        """A call with this key, settled now, that counts in everything the key belongs to."""
        principal = await self.authenticator.authenticate(key)
        charges = tuple(charge_of(self.services, scope) for scope in principal.scopes)
        return await self.spend(key, dollars, charges=charges, team_id=principal.team_id or "")

    async def spend(self, key: str, dollars: float, **fields: Any) -> Record:
        """A call with this key, settled now."""
        principal = await self.authenticator.authenticate(key)
        stored = (await self.services.keys.name_keys([principal.key_hash]))[principal.key_hash]
        record = make_record(
            int(self.clock() * 1e6),
            **{
                "model": "gpt-4o",
                "key_hash": principal.key_hash,
                "user_id": principal.user_id or "",
                "cost_nanos": nanos_from_dollars(dollars),
                "charges": (charge_of(self.services, key_scope(stored)),),
            }
            | fields,
        )
        await self.journal.append(record)
        return record

    async def spend_in(self, *scopes: Scope, dollars: float = 1) -> Record:
        """A call that touches these scopes, settled now."""
        record = make_record(
            int(self.clock() * 1e6),
            cost_nanos=nanos_from_dollars(dollars),
            charges=tuple(charge_of(self.services, scope) for scope in scopes),
        )
        await self.journal.append(record)
        return record


def _configuration(folder: Path, config: Mapping[str, Any], environ: Mapping[str, str]) -> Configuration:
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump(dict(config)))
    return load(file, environ={"HOME": str(folder), **environ})


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def good(response: httpx.Response) -> Any:
    """The body of an answer that went well."""
    assert response.status_code == 200, response.text
    return response.json()


def error_of(response: httpx.Response, status: int) -> dict[str, Any]:
    """The `error` of an answer with this status, its envelope checked."""
    assert response.status_code == status, response.text
    body = response.json()
    assert body.keys() == {"error"}
    error: dict[str, Any] = body["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert error["code"] == str(status)
    return error


def is_envelope(response: httpx.Response) -> bool:
    """E1, E2 or E3, and on `/management/v1` E5, of `errors-and-headers.md`."""
    body = response.json()
    match body:
        case {"error": {"message": str(), "type": str(), "param": _, "code": str(code)}}:
            return body.keys() == {"error"} and code == str(response.status_code)
        case {"type": str(), "title": str(), "status": int(), "detail": str()}:
            return response.headers["content-type"] == "application/problem+json"
        case {"detail": str()} | {"detail": {"error": str()}} | {"detail": {"message": str()}}:
            return len(body) == 1
        case {"detail": [*problems]}:
            return all(isinstance(one, dict) and {"type", "loc", "msg"} <= one.keys() for one in problems)
        case _:
            return False


@asynccontextmanager
async def open_management(
    folder: Path,
    database: str = "sqlite",
    *,
    key_policy: KeyPolicy | None = None,
    team_policy: TeamPolicy | None = None,
    user_defaults: Mapping[str, Any] | None = None,
    snapshot: Snapshot | None = None,
    config: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] = {},
    inference_routes: Any = (),
    stores_audit_log: bool = True,
) -> AsyncIterator[Management]:
    """A management plane with a new database of this kind; `folder` keeps the rest.

    With `config` it serves what that configuration and the database come to, and makes things as it says; without,
    `snapshot` and the policies alone.
    """
    clock = FakeClock()
    policies = Policies(
        keys=key_policy or KeyPolicy(),
        teams=team_policy or TeamPolicy(),
        user_defaults=user_defaults or {},
        stores_audit_log=stores_audit_log,
    )
    fixed_policies = policies if config is None else None
    fixed = None if config is not None else snapshot or make_snapshot(make_group("gpt-4o"))
    async with open_database(database, folder) as engine:
        sealer = Sealer(lambda: SALT_KEY)
        served = Served(
            _configuration(folder, config or {}, environ),
            discovered=(),
            prices=PRICES,
            master_key=MASTER_KEY,
            sealer=sealer,
            load=SqlModelStore(engine).load,
        )
        if config is not None:
            await served.complete()
        journal = FileJournal(folder / "journal")
        keys = SqlKeyStore(engine, clock=clock)
        store = SqlLedgerStore(engine)
        ledger = Ledger(journal, store, MemoryCounterStore(clock), clock)
        authenticator = Authenticator(hash_key(MASTER_KEY), keys, clock)
        told: list[str] = []

        async def authenticate(headers: Mapping[bytes, bytes]) -> Principal:
            return await authenticator.authenticate(find_credential(headers))

        async def changed(changes: Sequence[NumberedChange]) -> None:
            for one in changes:
                told.append(one.change.id)
                authenticator.changed(one.change)
            if any(one.change.kind in SERVED for one in changes):
                await served.refresh()

        services = Services(
            engine=engine,
            keys=keys,
            ledger=ledger,
            spend=SqlSpendReader(engine),
            authenticate=authenticate,
            changed=changed,
            told_by="this-process",
            clock=clock,
            prices=PRICES,
            snapshot=lambda: fixed or served.snapshot,
            configuration=lambda: served.configuration,
            lendable=lambda: served.environ,
            sealer=sealer,
            policies=lambda: fixed_policies or policies_of(served.configuration),
            try_settings=served.tried,
            answers=MemoryResponseStore(clock, max_bytes=1_000_000),
        )
        app = create_app(services, inference_routes=inference_routes)
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
            yield Management(app, client, services, ledger, journal, authenticator, clock, told)
        await ledger.close()


class Shared(NamedTuple):
    """A management plane for many tests, which are not coroutines, and the event loop that it lives in."""

    management: Management
    runner: asyncio.Runner
    folder: Path


@contextmanager
def shared_management(folder: Path) -> Iterator[Shared]:
    """A management plane that is opened once: for what tries thousands of requests."""
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        yield Shared(runner.run(stack.enter_async_context(open_management(folder))), runner, folder)
        runner.run(stack.aclose())
