"""Callers that go on calling, streams and whole answers in turn, and write down how each call went."""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import aiohttp
from tests.support.gateway import Gateway

_CALLERS = 6
_BEHAVIOUR = {"latency_ms": 20, "chunk_ms": 25, "text": "one two three four five six seven eight nine ten"}


@dataclass(frozen=True)
class Outcome:
    """How one call went."""

    began_at: float
    """On the clock of `time.monotonic`."""
    trouble: str
    """Empty: it was answered, to its end."""


@dataclass
class Load:
    """Calls that are being made."""

    outcomes: list[Outcome] = field(default_factory=list)
    is_over: threading.Event = field(default_factory=threading.Event)

    def wait_for(self, count: int, *, since: float = 0.0) -> None:
        """Returns once so many calls that began since then have ended."""
        deadline = time.monotonic() + 60
        while sum(outcome.began_at >= since for outcome in self.outcomes) < count:
            assert time.monotonic() < deadline, "nobody is answered any more"
            time.sleep(0.02)

    def troubles(self, *, since: float = 0.0) -> list[str]:
        """What went wrong with calls that began since then."""
        return [one.trouble for one in self.outcomes if one.trouble and one.began_at >= since]


@contextmanager
def calling(gateway: Gateway, key: str) -> Iterator[Load]:
    """Calls go on until the block ends; those in flight are awaited."""
    load = Load()
    thread = threading.Thread(target=asyncio.run, args=(_all_callers(gateway.url, key, load),), daemon=True)
    thread.start()
    try:
        yield load
    finally:
        load.is_over.set()
        thread.join(60)
        assert not thread.is_alive()


async def _all_callers(url: str, key: str, load: Load) -> None:
    numbers = itertools.count()
    headers = {"Authorization": f"Bearer {key}"}
    async with aiohttp.ClientSession(url, headers=headers, timeout=aiohttp.ClientTimeout(30)) as session:
        await asyncio.gather(*(_caller(session, numbers, load) for _ in range(_CALLERS)))


async def _caller(session: aiohttp.ClientSession, numbers: Iterator[int], load: Load) -> None:
    while not load.is_over.is_set():
        number = next(numbers)
        began_at = time.monotonic()
        try:
            trouble = await _call(session, number)
        except (aiohttp.ClientError, TimeoutError) as error:
            trouble = repr(error)
        load.outcomes.append(Outcome(began_at, trouble))


async def _call(session: aiohttp.ClientSession, number: int) -> str:
    """What went wrong, if anything. Every question is another, so that none is answered from a cache."""
    question = [{"role": "user", "content": f"question {number} {time.monotonic()}"}]
    is_stream = number % 3 != 0
    body = {"model": "demo", "messages": question, "stream": is_stream, "demo": _BEHAVIOUR}
    async with session.post("/v1/chat/completions", json=body) as response:
        text = await response.text()
        if response.status != 200:
            return f"{response.status}: {text}"
        if is_stream:
            return "" if text.endswith("data: [DONE]\n\n") and "error" not in text else f"cut: {text[-300:]}"
        return "" if json.loads(text)["choices"][0]["finish_reason"] == "stop" else text
