"""Two processes on one database, without their servers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.support.databases import DATABASES, open_database

from tollway.app.feed import ChangeFeed, Copies
from tollway.core.changes import Change, ChangeKind, NumberedChange, encode_words
from tollway.core.errors import StoreUnavailable
from tollway.db.engine import writing
from tollway.ports.changes import BusUnavailable, ChangeBus, ChangeLog
from tollway.stores.sql.changes import SqlChangeLog, note_changes


class Kept(Copies):
    """What one process was told to forget."""

    def __init__(self) -> None:
        self.forgotten: list[str] = []
        self.news: list[str] = []
        self.starts_over = 0
        self.refreshes = 0
        self.interrupted: list[int] = []
        self.is_away = False

    def forget(self, changes: Sequence[NumberedChange], *, is_news: bool) -> None:
        self.forgotten += [one.change.id for one in changes]
        self.news += [one.change.id for one in changes if is_news]

    def forget_all(self) -> None:
        self.starts_over += 1

    async def interrupt(self, changes: Sequence[NumberedChange]) -> None:
        self.interrupted += [one.number for one in changes]

    async def refresh(self) -> None:
        if self.is_away:
            raise StoreUnavailable("away")
        self.refreshes += 1


class Process:
    """One process: its copies, and how it hears of changes."""

    def __init__(self, engine: AsyncEngine, name: str, bus: ChangeBus | None = None) -> None:
        self.kept = Kept()
        self._engine = engine
        self._name = name
        self.log = SqlChangeLog(engine)
        self.feed = ChangeFeed(self._open, self.kept, bus, told_by=name)

    async def _open(self) -> tuple[ChangeLog, int]:
        return self.log, await self.log.latest()

    async def commit(self, *ids: str, kind: ChangeKind = "key") -> list[NumberedChange]:
        async with writing(self._engine) as connection:
            made = [Change(kind, name) for name in ids]
            return await note_changes(connection, made, told_by=self._name, now_s=1_790_000_000.0)

    async def change(self, *ids: str, kind: ChangeKind = "key") -> None:
        await self.feed.made_here(await self.commit(*ids, kind=kind))


class Bus(ChangeBus):
    """A bus within this process, which can fail."""

    def __init__(self) -> None:
        self.listeners: list[asyncio.Queue[bytes | None]] = []
        self.published: list[bytes] = []
        self.is_away = False

    async def publish(self, told_by: str, changes: Sequence[NumberedChange]) -> None:
        if self.is_away:
            raise BusUnavailable("away")
        for message in encode_words(told_by, changes):
            self.published.append(message)
            self.say(message)

    def say(self, message: bytes | None) -> None:
        for listener in self.listeners:
            listener.put_nowait(message)

    async def listen(self) -> AsyncIterator[bytes]:
        if self.is_away:
            raise BusUnavailable("away")
        heard: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.listeners.append(heard)
        yield b""
        while (message := await heard.get()) is not None:
            yield message
        raise BusUnavailable("gone")


@pytest.fixture(params=DATABASES)
async def engine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    async with open_database(request.param, tmp_path) as opened:
        yield opened


async def begun(engine: AsyncEngine, name: str) -> Process:
    process = Process(engine, name)
    await process.feed.look()
    return process


async def test_what_one_changes_the_other_finds_once_and_its_own_nobody_twice(engine: AsyncEngine) -> None:
    one, another = await begun(engine, "one"), await begun(engine, "another")
    await one.change("a", "b", "a")
    await another.change("c")
    for _ in range(3):
        await one.feed.look()
        await another.feed.look()
    assert one.kept.forgotten == ["a", "b", "c"]
    assert another.kept.forgotten == ["c", "a", "b"]
    assert one.feed.newest == another.feed.newest == await one.log.latest()


async def test_a_change_that_was_committed_but_never_told_of_is_found(engine: AsyncEngine) -> None:
    one, another = await begun(engine, "one"), await begun(engine, "another")
    await one.commit("a")  # and the process is killed
    await another.feed.look()
    assert another.kept.forgotten == another.kept.news == ["a"]


async def test_what_changed_before_it_opened_the_database_is_no_news(engine: AsyncEngine) -> None:
    await (await begun(engine, "one")).change("a")
    late = await begun(engine, "late")
    await late.feed.look()
    assert late.kept.forgotten == []


async def test_what_is_served_is_read_once_for_many_changes_and_again_if_that_failed(engine: AsyncEngine) -> None:
    one, another = await begun(engine, "one"), await begun(engine, "another")
    await one.change("a", "b", kind="model")
    assert one.kept.refreshes == 1
    another.kept.is_away = True
    with pytest.raises(StoreUnavailable):
        await another.feed.look()
    another.kept.is_away = False
    await another.feed.look()
    await another.feed.look()
    assert another.kept.refreshes == 1
    assert another.kept.forgotten == ["a", "b"]


async def test_too_many_changes_at_once_make_it_start_over(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tollway.app.feed._MOST", 10)
    one, another = await begun(engine, "one"), await begun(engine, "another")
    await one.change(*map(str, range(20)))
    await another.feed.look()
    assert (another.kept.starts_over, another.kept.refreshes, another.kept.forgotten) == (1, 1, [])
    await one.change("next")
    await another.feed.look()
    assert another.kept.forgotten == ["next"]


async def test_after_a_gap_longer_than_notes_are_kept_it_starts_over(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = await begun(engine, "one")
    monkeypatch.setattr("tollway.app.feed._KEPT_S", 0.02)
    await asyncio.sleep(0.02)
    await process.feed.look()
    assert process.kept.starts_over == 1


@pytest.fixture
async def sqlite_engine(tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    async with open_database("sqlite", tmp_path) as opened:
        yield opened


async def until_so(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not is_so():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_what_a_bus_tells_is_acted_on_at_once_and_once(sqlite_engine: AsyncEngine) -> None:
    bus = Bus()
    one, another = Process(sqlite_engine, "one", bus), Process(sqlite_engine, "another", bus)
    for process in (one, another):
        await process.feed.look()
        process.feed.start()
    await until_so(lambda: one.feed.hears_at_once and another.feed.hears_at_once)
    await one.change("a")
    await until_so(lambda: another.kept.forgotten == ["a"])
    assert another.kept.news == [], "whoever made it has told of it"
    await another.feed.look()
    bus.say(bus.published[0])
    bus.say(b"from another version")
    await asyncio.sleep(0.05)
    assert one.kept.forgotten == another.kept.forgotten == ["a"]
    for process in (one, another):
        await process.feed.stop()


async def test_a_bus_that_fails_is_logged_once_and_looked_for_again(
    sqlite_engine: AsyncEngine, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tollway.app.feed._RECONNECT_S", 0.01)
    monkeypatch.setattr("tollway.app.feed._UNTIL_FIRST_LOOK_S", 0)
    bus = Bus()
    process = Process(sqlite_engine, "one", bus)
    process.feed.start()
    await until_so(lambda: process.feed.hears_at_once)
    assert caplog.text == ""
    bus.is_away = True
    bus.say(None)
    await asyncio.sleep(0.1)
    assert not process.feed.hears_at_once
    await process.change("a")
    bus.is_away = False
    await until_so(lambda: process.feed.hears_at_once)
    await process.feed.stop()
    messages = [record.getMessage() for record in caplog.records]
    assert messages == [
        "changes: not heard at once (gone); meanwhile the database is read every 0.5 s",
        "changes: other gateways' are heard at once again",
    ]
