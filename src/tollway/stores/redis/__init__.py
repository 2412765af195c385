"""What replicas share in Redis or Valkey. The client is imported only where one is configured."""

from __future__ import annotations

from importlib.util import find_spec

from tollway.core.errors import Misconfigured


def require_client() -> None:
    """Raises `Misconfigured` if the client library is not installed. Imports nothing."""
    if find_spec("redis") is None:
        raise Misconfigured(
            "A shared Redis is configured, and its client is not installed: pip install 'tollway[redis]'.",
            param="redis_url",
        )
