"""A TCP relay before a server, which can be told to be slow: every answer then comes that much later."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import Self

from tests.support.ports import free_port


class SlowProxy:
    """Relays `port` to a server of this machine, from a thread of its own."""

    def __init__(self, server_port: int) -> None:
        self.port = free_port()
        self._server_port = server_port
        self._delay_s = 0.0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._is_ready = threading.Event()

    def slow_down(self, delay_s: float) -> None:
        """From now on each answer is kept back for so long; 0: as quick as it can be."""
        self._delay_s = delay_s

    def __enter__(self) -> Self:
        self._thread.start()
        self._is_ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._relay, "127.0.0.1", self.port))
        self._is_ready.set()
        self._loop.run_forever()
        server.close()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.close()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            try:
                there = await asyncio.open_connection("127.0.0.1", self._server_port)
            except OSError:
                writer.close()
                return
            await asyncio.gather(
                self._pump(reader, there[1], is_answer=False), self._pump(there[0], writer, is_answer=True)
            )

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, is_answer: bool) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65536):
                if is_answer and self._delay_s:
                    await asyncio.sleep(self._delay_s)
                sink.write(data)
                await sink.drain()
        sink.close()
