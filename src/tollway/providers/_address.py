"""From what an operator wrote to what goes on the wire: URLs, headers, and whether a proxy stands between. Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Literal
from urllib.parse import parse_qsl, quote, urlsplit

import msgspec

from tollway.core.errors import Misconfigured
from tollway.core.snapshot import CredentialHeaders, Endpoint, Operation, Origin

PATHS: dict[Operation, str] = {
    "chat": "/chat/completions",
    "completions": "/completions",
    "embeddings": "/embeddings",
    "responses": "/responses",
    "messages": "/messages",
}
"""Below the base URL: https://platform.openai.com/docs/api-reference."""

_DEFAULT_PORTS = {"http": 80, "https": 443}
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 section 5.1: token
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")  # RFC 9110 section 5.5: no control characters, Latin-1
_OURS_ALONE = frozenset(
    {"connection", "content-length", "expect", "host", "te", "trailer", "transfer-encoding", "upgrade"}
)
_SECRET_QUERY = re.compile(r"(?i)(.*[-_])?(key|apikey|token|secret|password)")
_NOT_IN_A_URL = re.compile(r"[\x00-\x20\x7f\\<>\"^`]")


class Location(msgspec.Struct, frozen=True):
    """A checked URL, split the way a connection wants it."""

    origin: Origin
    target: str

    def endpoint(self, headers: tuple[tuple[str, str], ...], credential: CredentialHeaders | None = None) -> Endpoint:
        """The endpoint there."""
        return Endpoint(origin=self.origin, target=self.target, headers=headers, credential=credential)

    def beside(self, endpoint: Endpoint) -> Endpoint:
        """The endpoint there, with the headers and the credential of another."""
        return self.endpoint(endpoint.headers, endpoint.credential)


def locate(base: str, path: str, *, field: str, verify: bool | str = True, query: str = "") -> Location:
    """`path` below the URL `base`, whose own query stays; a base that ends in an operation's path is cut back first.

    `query` is appended. `field` is how messages call the base. Raises `Misconfigured` and never repeats the URL's
    query or user, where people put secrets.
    """
    if _NOT_IN_A_URL.search(base):
        raise Misconfigured(
            f"{field}: not a URL: it has a blank or another character that must be escaped", param="api_base"
        )
    try:
        parts = urlsplit(base)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise Misconfigured(f"{field}: not a URL: write https://host[:port]/path", param="api_base") from None
    if parts.scheme not in ("http", "https") or not host:
        raise Misconfigured(f"{field}: write a whole URL, such as https://host/v1", param="api_base")
    if parts.username is not None or parts.password is not None:
        raise Misconfigured(
            f"{field}: a URL must not hold a user or password; use api_key or extra_headers", param="api_base"
        )
    if parts.fragment:
        raise Misconfigured(f"{field}: a URL with a fragment (#…) cannot be called", param="api_base")
    for name, _ in parse_qsl(parts.query, keep_blank_values=True):
        if _SECRET_QUERY.fullmatch(name):
            raise Misconfigured(
                f"{field}: a URL must not hold a credential ({name}); use api_key or extra_headers", param="api_base"
            )
    scheme: Literal["http", "https"] = "https" if parts.scheme == "https" else "http"
    origin = Origin(scheme, _ascii_host(host, field), port or _DEFAULT_PORTS[scheme], verify)
    whole = quote(_below(parts.path, path), safe="/%:@!$&'()*+,;=~-._")
    asked = "&".join(part for part in (quote(parts.query, safe="/?%:@!$&'()*+,;=~-._"), query) if part)
    return Location(origin, f"{whole}?{asked}" if asked else whole)


def authority(origin: Origin) -> str:
    """`host`, or `host:port` where the port is not the scheme's own, as the `Host` header has it."""
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    return host if origin.port == _DEFAULT_PORTS[origin.scheme] else f"{host}:{origin.port}"


def merge_headers(ours: Mapping[str, str], theirs: Mapping[str, str], *, provider: str) -> tuple[tuple[str, str], ...]:
    """Both, where `theirs` win whatever the case of the name.

    Raises `Misconfigured` for a header that could break out of its line, or that the connection itself must write.
    """
    merged = {name.lower(): (name, value) for name, value in ours.items()}
    for name, value in theirs.items():
        if name.lower() in _OURS_ALONE:
            raise Misconfigured(
                f"{provider}: the header {name} is written by the connection; remove it", param="extra_headers"
            )
        merged[name.lower()] = (name, value)
    for name, value in merged.values():
        if not _HEADER_NAME.fullmatch(name):
            raise Misconfigured(f"{provider}: {name!r} cannot be the name of a header", param="extra_headers")
        if not _HEADER_VALUE.fullmatch(value):
            field = "api_key" if name in ("Authorization", "api-key") and name not in theirs else "extra_headers"
            raise Misconfigured(
                f"{provider}: the value of the header {name} has a line break or a character that HTTP does not allow",
                param=field,
            )
    return tuple((name, value.strip()) for name, value in merged.values())


def is_proxied(origin: Origin, environ: Mapping[str, str]) -> bool:
    """True if the environment sends calls to `origin` through an HTTP proxy.

    `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`, lower case first, as curl reads them: `NO_PROXY` holds
    hosts, domain suffixes, `host:port`, networks (`10.0.0.0/8`) or `*`. This machine itself is never behind a proxy.
    """
    if not any(_proxy_variable(environ, name) for name in (f"{origin.scheme}_proxy", "all_proxy")):
        return False
    host = origin.host.lower().rstrip(".")
    if host == "localhost" or host.endswith(".localhost"):
        return False
    address = _address(host)
    if address is not None and address.is_loopback:
        return False
    rules = re.split(r"[\s,]+", _proxy_variable(environ, "no_proxy"))
    return not any(_is_excepted(rule.lower(), host, origin.port, address) for rule in rules if rule)


_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def _proxy_variable(environ: Mapping[str, str], name: str) -> str:
    return environ.get(name, environ.get(name.upper(), "")).strip()


def _is_excepted(rule: str, host: str, port: int, address: _Address | None) -> bool:
    if rule == "*":
        return True
    if address is not None:
        try:
            return address in ipaddress.ip_network(rule.strip("[]"), strict=False)
        except ValueError:
            pass  # not an address or a network: compare as text
    name, _, rule_port = rule.rpartition(":") if re.search(r"[^:]:\d+$", rule) else (rule, "", "")
    if rule_port and int(rule_port) != port:
        return False
    name = name.strip("[]").removeprefix("*").strip(".")
    return bool(name) and (host == name or host.endswith(f".{name}"))


def _address(host: str) -> _Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _ascii_host(host: str, field: str) -> str:
    if host.isascii():
        return host
    try:
        return host.encode("idna").decode()
    except UnicodeError:
        raise Misconfigured(f"{field}: {host!r} cannot be the name of a host", param="api_base") from None


def _below(base_path: str, path: str) -> str:
    base_path = base_path.rstrip("/")
    for known in sorted(PATHS.values(), key=len, reverse=True):
        if base_path.endswith(known):
            return base_path.removesuffix(known) + path
    return base_path + path
