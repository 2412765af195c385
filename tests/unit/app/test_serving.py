from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tollway.accounting.price_book import PriceBook
from tollway.app.serving import Served
from tollway.config.configuration import Configuration
from tollway.config.load import load
from tollway.config.sealing import Sealer
from tollway.config.secret import Secret
from tollway.config.stored import seal_params
from tollway.core.errors import Misconfigured, StoreUnavailable
from tollway.ports.models import Stored, StoredModel, StoredSetting

PRICES = PriceBook.load()
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def row(name: str, **params: Any) -> StoredModel:
    given = {"model": "openai/gpt-4o", **params}
    return StoredModel(model_id=f"id-{name}", model_name=name, params=given, created_at=NOW, updated_at=NOW)


class FakeDatabase:
    """Answers reads one by one, when it is told to."""

    def __init__(self) -> None:
        self.count = 0
        self._reads: asyncio.Queue[asyncio.Future[Stored]] = asyncio.Queue()

    async def load(self) -> Stored:
        self.count += 1
        read: asyncio.Future[Stored] = asyncio.get_running_loop().create_future()
        await self._reads.put(read)
        return await read

    async def next_read(self) -> asyncio.Future[Stored]:
        return await self._reads.get()


def no_salt_key() -> str:
    raise Misconfigured("Cannot read salt_key: it is a folder.")


def make(folder: Path, load_rows: Callable[[], Awaitable[Stored]], salt_key: Callable[[], str] = lambda: "s") -> Served:
    file = folder / "config.yaml"
    file.write_text("model_list: [{model_name: file, litellm_params: {model: openai/gpt-4o, api_key: sk-1}}]")
    configuration = load(file, environ={"HOME": str(folder)})
    sealer = Sealer(salt_key)
    return Served(configuration, discovered=(), prices=PRICES, master_key="sk-m", sealer=sealer, load=load_rows)


async def test_the_file_is_served_before_the_database_and_then_both(tmp_path: Path) -> None:
    database = FakeDatabase()
    served = make(tmp_path, database.load)
    assert set(served.snapshot.groups) == {"file"}
    waiting = [asyncio.create_task(served.complete()) for _ in range(3)]
    (await database.next_read()).set_result(Stored((row("stored"),)))
    await asyncio.gather(*waiting)
    assert list(served.snapshot.groups) == ["file", "stored"]
    assert database.count == 1
    await served.complete()
    assert database.count == 1


async def test_a_setting_that_breaks_a_models_address_is_left_out_alone(tmp_path: Path) -> None:
    params = {"router_settings": {"default_litellm_params": {"api_base": "ftp://x"}, "timeout": 7}}
    rows = Stored(
        settings=tuple(
            StoredSetting(section=section, name=name, value=value)
            for section, settings in params.items()
            for name, value in settings.items()
        )
    )

    async def load_rows() -> Stored:
        return rows

    served = make(tmp_path, load_rows)
    await served.complete()
    assert served.configuration.stored.paths == ["router_settings.timeout"]
    assert served.snapshot.groups["file"].deployments[0].timeouts.total == 7
    assert "router_settings.default_litellm_params: left out: cannot be used as things are" in served.warnings
    await served.reconfigure(lambda: _again(served))
    assert served.configuration.stored.paths == ["router_settings.timeout"]


async def _again(served: Served) -> Configuration:
    """What the file says, read anew."""
    written = served.configuration.written
    return load(written.document.files[0], environ=written.environ)


async def test_a_database_that_is_away_is_asked_again(tmp_path: Path) -> None:
    database = FakeDatabase()
    served = make(tmp_path, database.load)
    first = asyncio.create_task(served.complete())
    (await database.next_read()).set_exception(StoreUnavailable("away"))
    with pytest.raises(StoreUnavailable):
        await first
    again = asyncio.create_task(served.complete())
    (await database.next_read()).set_result(Stored((row("stored"),)))
    await again
    assert "stored" in served.snapshot.groups


async def test_who_leaves_does_not_stop_the_read(tmp_path: Path) -> None:
    database = FakeDatabase()
    served = make(tmp_path, database.load)
    leaving = asyncio.create_task(served.complete())
    read = await database.next_read()
    leaving.cancel()
    await asyncio.wait([leaving])
    read.set_result(Stored((row("stored"),)))
    await served.close()
    assert "stored" in served.snapshot.groups


async def test_the_last_change_counts_however_the_reads_overlap(tmp_path: Path) -> None:
    database = FakeDatabase()
    served = make(tmp_path, database.load)
    first = asyncio.create_task(served.refresh())
    (await database.next_read()).set_result(Stored((row("old"),)))
    second = asyncio.create_task(served.refresh())
    (await database.next_read()).set_result(Stored((row("new"),)))
    await asyncio.gather(first, second)
    assert set(served.snapshot.groups) == {"file", "new"}


async def test_without_a_salt_key_what_is_not_sealed_is_served(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sealer = Sealer(lambda: "sk-s")
    await sealer.ready()
    sealed = row("sealed")
    sealed = StoredModel(
        model_id=sealed.model_id,
        model_name="sealed",
        params=seal_params(sealed.params | {"api_key": Secret("sk-1")}, sealed.model_id, sealer),
        created_at=NOW,
        updated_at=NOW,
    )

    async def rows() -> Stored:
        return Stored((sealed, row("open")))

    served = make(tmp_path, rows, no_salt_key)
    await served.complete()
    assert set(served.snapshot.groups) == {"file", "open"}
    assert "Cannot read salt_key" in caplog.text
    assert "model sealed (id-sealed)" in caplog.text


async def test_a_wrong_file_changes_nothing(tmp_path: Path) -> None:
    async def rows() -> Stored:
        return Stored((row("stored"),))

    served = make(tmp_path, rows)
    await served.complete()
    before = served.snapshot

    async def broken() -> Any:
        raise Misconfigured("no")

    with pytest.raises(Misconfigured):
        await served.reconfigure(broken)
    assert served.snapshot is before
