"""Whose call it is behind proxies, and whose are served."""

from __future__ import annotations

import pytest

from tollway.core.errors import Forbidden
from tollway.core.snapshot import Settings
from tollway.policy.addresses import check_address, real_client

NEAR = Settings(believes_proxies=True)
NAMED = Settings(believes_proxies=True, trusted_proxies=("203.0.113.0/24", "2001:db8::/32"))


@pytest.mark.parametrize(
    ("settings", "peer", "header", "client"),
    [
        (Settings(), "10.0.0.1", b"198.51.100.7", "10.0.0.1"),
        (NEAR, "10.0.0.1", b"", "10.0.0.1"),
        (NEAR, "10.0.0.1", b"198.51.100.7", "198.51.100.7"),
        (NEAR, "::ffff:10.0.0.1", b"198.51.100.7", "198.51.100.7"),
        (NEAR, "10.0.0.1", b"198.51.100.7:4711", "198.51.100.7"),
        (NEAR, "10.0.0.1", b"[2001:db8::7]:4711", "2001:db8::7"),
        (NEAR, "10.0.0.1", b"2001:db8::7", "2001:db8::7"),
        # What a client writes itself stands left of what the proxy has seen.
        (NEAR, "10.0.0.1", b"1.1.1.1, 198.51.100.7", "198.51.100.7"),
        (NEAR, "10.0.0.1", b"198.51.100.7, 10.0.0.2", "198.51.100.7"),
        (NEAR, "198.51.100.9", b"10.1.1.1", "198.51.100.9"),
        (NEAR, "10.0.0.1", b"nonsense, 10.0.0.2", "nonsense"),
        (NAMED, "10.0.0.1", b"198.51.100.7", "10.0.0.1"),
        (NAMED, "203.0.113.5", b"198.51.100.7, 2001:db8::1", "198.51.100.7"),
    ],
)
def test_the_client_is_the_last_one_that_no_trusted_proxy_is(
    settings: Settings, peer: str, header: bytes, client: str
) -> None:
    assert real_client(peer, header, settings) == client


def test_clients_of_other_addresses_are_not_served() -> None:
    settings = Settings(allowed_addresses=("10.0.0.0/8", "2001:db8::1/128"))
    for served in ("10.9.8.7", "2001:db8::1", "::ffff:10.0.0.1"):
        check_address(served, settings)
    for refused in ("11.0.0.1", "2001:db8::2", "", "nonsense"):
        with pytest.raises(Forbidden, match="allowed_ips"):
            check_address(refused, settings)
    check_address("11.0.0.1", Settings())
