"""Operations go out in order, many at once, and whoever waits learns what became of them in bounded time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from tollway.stores.redis.channel import Operation, OperationChannel, Pending


class Server:
    """Answers each operation with its name; says what it got."""

    def __init__(self) -> None:
        self.batches: list[list[Any]] = []
        self.delay_s = 0.0
        self.knows_worker = True

    async def __call__(self, encoded: bytes) -> bytes | None:
        operations = msgspec.msgpack.decode(encoded)
        await asyncio.sleep(self.delay_s)
        self.batches.append([name for name, *_ in operations])
        if operations[0][0] == "join":
            self.knows_worker = True
        return msgspec.msgpack.encode([name for name, *_ in operations]) if self.knows_worker else None


class Owner:
    """Whoever is told of losses."""

    def __init__(self) -> None:
        self.errors: list[BaseException] = []
        self.expulsions = 0

    def lost(self, error: BaseException) -> None:
        self.errors.append(error)

    def expelled(self) -> Sequence[Operation]:
        self.expulsions += 1
        return (("join", 1),)


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def owner() -> Owner:
    return Owner()


@pytest.fixture
def channel(server: Server, owner: Owner) -> OperationChannel:
    return OperationChannel(server, timeout_s=0.05, lost=owner.lost, expelled=owner.expelled)


async def test_what_gathers_while_a_batch_is_away_goes_out_together(channel: OperationChannel, server: Server) -> None:
    server.delay_s = 0.01
    first = asyncio.create_task(channel.ask("a"))
    await asyncio.sleep(0.002)
    others = [asyncio.create_task(channel.ask(name)) for name in "bcd"]
    assert await asyncio.gather(first, *others) == ["a", "b", "c", "d"]
    assert server.batches == [["a"], ["b", "c", "d"]]


async def test_an_operation_is_made_when_it_goes_out_after_all_answers_before(
    channel: OperationChannel, server: Server
) -> None:
    known: list[str] = []
    made: list[list[str]] = []

    def make() -> Operation:
        made.append(list(known))
        return ("second",)

    server.delay_s = 0.01
    channel.put(Pending(lambda: ("first",), known.append, lambda: None))
    await asyncio.sleep(0.002)
    channel.put(Pending(make, known.append, lambda: None))
    await channel.delivered()
    assert made == [["first"]]


async def test_an_answer_that_does_not_come_is_a_loss_for_all_who_wait(
    channel: OperationChannel, server: Server, owner: Owner
) -> None:
    server.delay_s = 10
    asked = [asyncio.create_task(channel.ask("a"))]
    await asyncio.sleep(0.002)
    asked.append(asyncio.create_task(channel.ask("b")))
    results = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(result) for result in results] == [ConnectionError, ConnectionError]
    assert [type(error) for error in owner.errors] == [TimeoutError]


async def test_a_worker_that_is_no_member_joins_and_asks_again(
    channel: OperationChannel, server: Server, owner: Owner
) -> None:
    server.knows_worker = False
    assert await channel.ask("a") == "a"
    assert owner.expulsions == 1
    assert server.batches == [["a"], ["join", "a"]]
