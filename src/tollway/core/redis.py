"""Where the Redis or Valkey is that replicas share, and how long it has to answer."""

from __future__ import annotations

from typing import Literal

import msgspec
from typing_extensions import override

RedisKind = Literal["standalone", "sentinel", "cluster"]

HASH_TAG = "{tollway}"
"""In every key: a cluster keeps all of ours on one node, so that one script may touch any of them."""


class RedisNode(msgspec.Struct, frozen=True):
    """One process that listens."""

    host: str
    port: int

    @override
    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class RedisAddress(msgspec.Struct, frozen=True, kw_only=True):
    """A Redis or Valkey. Times are seconds. Its `repr` tells no password."""

    kind: RedisKind = "standalone"
    nodes: tuple[RedisNode, ...] = ()
    """The server · the sentinels · some nodes of the cluster. Empty where a socket is given."""
    socket_path: str | None = None
    """A socket of this machine, for `standalone` alone."""
    username: str | None = None
    password: str | None = None
    db: int = 0
    """A cluster has only number 0."""
    service_name: str | None = None
    """What the sentinels call the server they watch."""
    sentinel_username: str | None = None
    sentinel_password: str | None = None
    is_tls: bool = False
    checks_certificate: bool = True
    ca_file: str | None = None
    """PEM; None: the machine's own authorities."""
    namespace: str = ""
    """Put before every key, so that several gateways can share one server."""
    connections: int = 16
    """At most, in one process; whoever finds all of them taken waits."""
    connect_timeout_s: float = 0.5
    answer_timeout_s: float = 1.0
    """For one command, waiting for a connection included."""

    @property
    def prefix(self) -> str:
        """What every key and channel begins with; see `HASH_TAG`."""
        return f"{self.namespace}:{HASH_TAG}:" if self.namespace else f"{HASH_TAG}:"

    @override
    def __str__(self) -> str:
        """Fit for a log."""
        place = self.socket_path or ", ".join(map(str, self.nodes))
        kinds = {"standalone": "", "sentinel": f" (sentinels of {self.service_name})", "cluster": " (cluster)"}
        return f"{place}{kinds[self.kind]}"

    @override
    def __repr__(self) -> str:
        return f"<Redis at {self}>"
