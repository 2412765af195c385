"""The Valkey that is started with several workers."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tollway.app.embedded import EmbeddedValkey
from tollway.core.errors import Misconfigured
from tollway.stores.redis.connection import close_redis, open_redis


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[EmbeddedValkey]:
    tmp_path.chmod(0o700)
    server = EmbeddedValkey(tmp_path)
    yield server
    server.stop()


async def asked(server: EmbeddedValkey, *words: str) -> dict[str, str]:
    client = open_redis(server.address)
    try:
        answer = await client.config_get(*words)
        return {str(name): str(value) for name, value in _text(answer).items()}
    finally:
        await close_redis(client)


def _text(answer: Mapping[Any, Any]) -> dict[str, str]:
    def text(word: object) -> str:
        return word.decode() if isinstance(word, bytes) else str(word)

    return {text(name): text(value) for name, value in answer.items()}


async def test_it_has_no_port_keeps_nothing_on_disk_and_evicts_nothing(valkey: EmbeddedValkey) -> None:
    valkey.start()
    settings = await asked(valkey, "port", "save", "appendonly", "maxmemory-policy")
    assert settings == {"port": "0", "save": "", "appendonly": "no", "maxmemory-policy": "noeviction"}


async def test_one_that_ended_can_be_started_again(valkey: EmbeddedValkey) -> None:
    valkey.start()
    assert valkey.ended is None
    assert valkey._process is not None
    os.kill(valkey._process.pid, signal.SIGKILL)
    give_up_at = time.monotonic() + 5
    while valkey.ended is None:
        assert time.monotonic() < give_up_at
    assert valkey.ended == -signal.SIGKILL
    valkey.start()
    assert (await asked(valkey, "port"))["port"] == "0"


async def test_a_path_that_is_too_long_for_a_socket_is_not_used(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 100)
    folder.mkdir()
    server = EmbeddedValkey(folder)
    server.start()
    path = Path(str(server.address.socket_path))
    assert folder not in path.parents
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert (await asked(server, "port"))["port"] == "0"
    server.stop()
    assert not path.parent.exists()


def test_one_that_cannot_start_says_what_the_server_says(tmp_path: Path) -> None:
    (tmp_path / "valkey").mkdir()  # where its socket is to be
    with pytest.raises(Misconfigured, match=r"set REDIS_URL to use one of your own(.|\n)*Unix socket"):
        EmbeddedValkey(tmp_path).start()
