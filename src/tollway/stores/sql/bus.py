"""`ChangeBus` on Postgres: LISTEN on a connection of its own. Telling is part of the change's own transaction."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import asyncpg
from typing_extensions import override

from tollway.core.changes import NumberedChange
from tollway.core.errors import StoreUnavailable
from tollway.db.pool import PoolSettings
from tollway.db.postgres import connect
from tollway.db.url import PostgresUrl
from tollway.ports.changes import BusUnavailable, ChangeBus
from tollway.stores.sql.changes import CHANNEL, CHANNEL_LENGTH

_QUIET_S = 5.0
"""After so long without a word the server is asked whether it is still there."""
_ANSWER_S = 2.0


class PostgresBus(ChangeBus):
    """Hears what `note_changes` notifies of."""

    def __init__(self, address: PostgresUrl, pool: PoolSettings) -> None:
        """`pool`: how long things may take; the connection is one more than those of an engine."""
        self._address = address
        self._pool = pool

    @override
    async def publish(self, told_by: str, changes: Sequence[NumberedChange]) -> None:
        """Nothing to do: Postgres told of them with the commit."""

    @override
    async def listen(self) -> AsyncIterator[bytes]:
        try:
            connection = await connect(self._address, self._pool)
        except StoreUnavailable as error:
            raise BusUnavailable(error.message) from error
        try:
            heard: asyncio.Queue[bytes | None] = asyncio.Queue()

            def hear(_connection: Any, _process: int, _channel: str, message: str) -> None:
                heard.put_nowait(message.encode())

            def end(_connection: Any) -> None:
                heard.put_nowait(None)

            connection.add_termination_listener(end)
            schema = await _within(_ANSWER_S, connection.fetchval("SELECT current_schema()"))
            channel = f"{CHANNEL}{schema}"[:CHANNEL_LENGTH]
            await _within(_ANSWER_S, connection.add_listener(channel, hear))
            yield b""
            while True:
                try:
                    message = await _within(_QUIET_S, heard.get())
                except TimeoutError:
                    await _within(_ANSWER_S, connection.execute("SELECT 1"))
                    continue
                if message is None:
                    raise BusUnavailable("Postgres closed the connection")
                yield message
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            raise BusUnavailable(f"Postgres does not answer ({type(error).__name__})") from error
        finally:
            connection.terminate()  # at once, whatever state the server is in


async def _within(seconds: float, work: Any) -> Any:
    async with asyncio.timeout(seconds):
        return await work
