"""Several real gateways that share a Postgres and a Valkey, and callers that spread over them."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from tests.support.gateway import Config, Gateway, launch_gateway

SALT = "salt-of-the-tests"


@dataclass
class Fleet:
    """Replicas behind no balancer: callers choose."""

    folder: Path
    config: Config
    env: Mapping[str, str]
    gateways: list[Gateway] = field(default_factory=list)

    @property
    def first(self) -> Gateway:
        return self.gateways[0]

    def add(self) -> Gateway:
        """Starts one more."""
        gateway = self._launch(len(self.gateways))
        self.gateways.append(gateway)
        return gateway

    def restart(self, number: int) -> None:
        """Starts one again that has ended, with the data that it left."""
        self.gateways[number] = self._launch(number)

    def calls(
        self, count: int, *, key: str, at_once: int = 200, every_s: float = 0.0, body: Mapping[str, Any] = {}
    ) -> list[Reply]:
        """Chat completions, spread over the replicas: all at once, or one after each `every_s`."""
        ports = [gateway.port for gateway in self.gateways]
        with ThreadPoolExecutor(1) as threads:
            return threads.submit(asyncio.run, _calls(ports, count, key, at_once, every_s, body)).result()

    def _launch(self, number: int) -> Gateway:
        folder = self.folder / f"replica-{number}"
        folder.mkdir(exist_ok=True)
        return launch_gateway(folder, self.config, env=self.env)


@dataclass(frozen=True)
class Reply:
    """How one call ended."""

    status: int
    body: dict[str, Any]
    headers: Mapping[str, str]
    cost: float
    sent_at: float
    """On the clock of the test, as is the next."""
    received_at: float


def statuses(replies: Sequence[Reply]) -> Counter[int]:
    return Counter(reply.status for reply in replies)


@contextmanager
def running_fleet(
    folder: Path, size: int, config: Config, *, database_url: str, redis_url: str, env: Mapping[str, str] = {}
) -> Iterator[Fleet]:
    """Starts `size` replicas and stops those that are left at the end."""
    shared = {"LITELLM_SALT_KEY": SALT, "DATABASE_URL": database_url, "REDIS_URL": redis_url, **env}
    fleet = Fleet(folder, config, shared)
    try:
        with ThreadPoolExecutor(2) as threads:
            fleet.gateways += threads.map(fleet._launch, range(size))
        yield fleet
        for gateway in fleet.gateways:
            if gateway.process.is_running:
                assert gateway.process.stop() == 0, gateway.log
    finally:
        for gateway in fleet.gateways:
            if gateway.process.is_running:
                gateway.process.kill()


async def _calls(
    ports: Sequence[int], count: int, key: str, at_once: int, every_s: float, body: Mapping[str, Any]
) -> list[Reply]:
    gate = asyncio.Semaphore(at_once)
    asked = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], **body}

    async def call(session: aiohttp.ClientSession, number: int) -> Reply:
        await asyncio.sleep(number * every_s)
        async with gate:
            sent_at = time.monotonic()
            url = f"http://127.0.0.1:{random.choice(ports)}/v1/chat/completions"
            async with session.post(url, json=asked, headers={"Authorization": f"Bearer {key}"}) as response:
                headers = {name.lower(): value for name, value in response.headers.items()}
                text = await response.read()
                is_json = "json" in headers.get("content-type", "")
                return Reply(
                    response.status,
                    await response.json() if is_json else {"text": text.decode()},
                    headers,
                    float(headers.get("x-litellm-response-cost", 0)),
                    sent_at,
                    time.monotonic(),
                )

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        return await asyncio.gather(*(call(session, number) for number in range(count)))
