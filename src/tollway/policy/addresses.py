"""Who a connection speaks for, and whether calls from there are served.

A proxy names its client in `X-Forwarded-For`, each further proxy adds the one that it was called by. Whatever stands
left of the last address that no trusted proxy has added may be invented.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from tollway.core.errors import Forbidden
from tollway.core.snapshot import Settings

_NEAR = ("127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
"""Proxies that are believed where nobody says which: those of this machine and of private networks."""
_KEPT = 4096


def real_client(peer: str, forwarded_for: bytes, settings: Settings) -> str:
    """The address of the client. `peer`: whoever has connected; `forwarded_for`: the header, empty without one."""
    if not forwarded_for or not settings.believes_proxies:
        return peer
    trusted = settings.trusted_proxies or _NEAR
    client = peer
    for named in reversed(forwarded_for.decode("latin-1").split(",")):
        if not is_among(client, trusted):
            break
        client = _without_port(named.strip())
    return client


def check_address(client: str, settings: Settings) -> None:
    """Raises `Forbidden` for a client whose calls are not served."""
    if settings.allowed_addresses is not None and not is_among(client, settings.allowed_addresses):
        raise Forbidden(
            f"Access forbidden: IP address {client or 'unknown'} not allowed. It is not in "
            "`general_settings.allowed_ips`.",
            type="auth_error",
        )


@lru_cache(_KEPT)
def is_among(address: str, ranges: tuple[str, ...]) -> bool:
    """Whether an address lies in one of the ranges."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return False  # a socket of this machine, or something that a proxy made up
    found = getattr(found, "ipv4_mapped", None) or found
    return any(found in network for network in _networks(ranges))


@lru_cache(64)
def _networks(ranges: tuple[str, ...]) -> tuple[IPv4Network | IPv6Network, ...]:
    return tuple(ip_network(one, strict=False) for one in ranges)


def _without_port(named: str) -> str:
    """Some proxies write `1.2.3.4:5678` or `[::1]:5678`."""
    if named.startswith("["):
        return named[1:].partition("]")[0]
    host, colon, _ = named.partition(":")
    return host if colon and ":" not in named[len(host) + 1 :] else named
