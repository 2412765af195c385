from __future__ import annotations

import subprocess
import sys

import pytest

from tollway.app.fleet import Fleet, bus_of, open_fleet
from tollway.config.sealing import Sealer
from tollway.core.errors import Misconfigured
from tollway.core.redis import RedisAddress, RedisNode
from tollway.db.pool import PoolSettings
from tollway.stores.sql.bus import PostgresBus

ADDRESS = RedisAddress(nodes=(RedisNode("127.0.0.1", 1),))
POSTGRES = "postgresql://u:p@h/d"


def open_on_redis() -> Fleet | None:
    return open_fleet(
        ADDRESS,
        Sealer(lambda: "salt"),
        principals_live_s=1,
        newest_change=lambda: 0,
        hear_cooldown=lambda cooldown: None,
    )


async def test_without_the_client_library_the_operator_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tollway.stores.redis.find_spec", lambda name: None)
    with pytest.raises(Misconfigured, match=r"pip install 'tollway\[redis\]'"):
        open_on_redis()


async def test_a_shared_redis_is_the_bus_before_postgres() -> None:
    fleet = open_on_redis()
    assert fleet is not None
    assert bus_of(fleet, POSTGRES, PoolSettings()) == (fleet.bus, PoolSettings())
    await fleet.close()


def test_listening_takes_one_of_the_connections_that_postgres_is_to_have() -> None:
    bus, pool = bus_of(None, POSTGRES, PoolSettings(size=3))
    assert isinstance(bus, PostgresBus)
    assert pool.size == 2


@pytest.mark.parametrize(
    ("url", "pool"),
    [
        (POSTGRES, PoolSettings(size=1)),
        (POSTGRES, PoolSettings(without_prepared_statements=True)),
        ("sqlite:///x.db", PoolSettings()),
    ],
)
def test_where_nobody_can_listen_there_is_no_bus(url: str, pool: PoolSettings) -> None:
    assert bus_of(None, url, pool) == (None, pool)


def test_nothing_of_redis_is_imported_where_none_is_configured(tmp_path: object) -> None:
    program = (
        "import sys; from tollway.app.build import build; from tollway.config.load import load;"
        f"build(load(environ={{'HOME': {str(tmp_path)!r}}}), ()); print('redis' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout.split() == ["False"]
