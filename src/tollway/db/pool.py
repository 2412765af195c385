"""How many connections to keep, and how long to wait for each thing a database does."""

from __future__ import annotations

import msgspec


class PoolSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of one process's connections to a Postgres server. SQLite needs none of them."""

    size: int = 10
    """Connections at most. Whoever finds all of them taken waits; nobody opens another."""
    wait_s: float = 5.0
    """For a connection that others hold."""
    connect_timeout_s: float = 3.0
    """For a new connection."""
    answer_timeout_s: float | None = 10.0
    """For all that is done in one transaction; None: no limit."""
    look_up_s: float = 2.0
    """For what a call waits for before it is served: 503 soon is a better answer than 200 late."""
    max_idle_s: float = 60.0
    """A connection unused for longer is replaced: what lies between may have forgotten it."""
    without_prepared_statements: bool = False
    """For poolers that hand each transaction another connection."""
