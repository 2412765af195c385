"""What destinations have in common: they post over HTTP, and say whether trying again may help.

Importing this imports an HTTP client, a quarter of a second: only destinations do it, when they are opened.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from io import BytesIO
from ipaddress import ip_address
from typing import Any

import aiohttp
import msgspec
from aiohttp.abc import AbstractResolver, ResolveResult
from typing_extensions import override

from tollway.core.errors import Misconfigured, UpstreamError

TIMEOUT_S = 10.0
"""For one request, connecting included."""
_LONGEST_ANSWER = 1 << 20
_LONG_BODY = 1 << 19
_AGAIN = frozenset({408, 409, 425, 429})
_AT_ONCE = 4
_public_only: ContextVar[bool] = ContextVar("public_only", default=False)


class Answer(msgspec.Struct, frozen=True):
    """What came back."""

    status: int
    body: bytes
    headers: Mapping[str, str]
    """Names in lower case."""


@contextmanager
def public_addresses_only() -> Iterator[None]:
    """Destinations that are opened inside connect to no address of this machine or of a private network.

    For those whose address a user has chosen: they must not reach what only the gateway can.
    """
    token = _public_only.set(True)
    try:
        yield
    finally:
        _public_only.reset(token)


class Client:
    """Connections of one destination. Made without a running loop, opened by the first request."""

    def __init__(self, *, title: str, check: str) -> None:
        """`title`: as operators call the destination, at the beginning of a message; `check`: what to look at where it
        cannot be reached, or refuses.
        """
        self._title = title
        self._check = check
        self._is_public_only = _public_only.get()
        self._session: aiohttp.ClientSession | None = None

    async def send(
        self,
        url: str,
        body: bytes | None,
        headers: Mapping[str, str] | None = None,
        *,
        method: str = "POST",
    ) -> Answer:
        """One request, whose answer is good. It follows no redirect: the headers are for this address.

        Raises `UpstreamError` where trying again may help, with the answer's `retry-after`, and `Misconfigured` where
        it does not. What the answer says is not repeated: it may hold what it was sent.
        """
        if self._is_public_only:
            self._check_literal(url)
        # The client warns about long bodies that are no files.
        data = BytesIO(body) if body is not None and len(body) > _LONG_BODY else body
        try:
            async with self._opened().request(
                method, url, data=data, headers=dict(headers or {}), allow_redirects=False
            ) as answer:
                got = await answer.content.read(_LONGEST_ANSWER)
                found = Answer(answer.status, got, {name.lower(): value for name, value in answer.headers.items()})
        except _NotPublic:
            raise self._private() from None
        except (aiohttp.InvalidURL, ValueError):
            raise Misconfigured(f"{self._title}: this is no address to send to; check {self._check}") from None
        except (aiohttp.ClientError, OSError, TimeoutError) as fault:
            if _is_private(fault):
                raise self._private() from None
            raise UpstreamError(
                f"{self._title} cannot be reached ({type(fault).__name__}); check the network and {self._check}",
                is_retryable=True,
            ) from None
        self._check_status(found)
        return found

    async def close(self) -> None:
        """Lets go of the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            resolver = _PublicResolver() if self._is_public_only else None
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=_AT_ONCE, resolver=resolver, keepalive_timeout=30),
                timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
                trust_env=not self._is_public_only,
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session

    def _check_status(self, answer: Answer) -> None:
        if 200 <= answer.status < 300:
            return
        text = f"{self._title} answered HTTP {answer.status}; check {self._check}"
        if answer.status >= 500 or answer.status in _AGAIN:
            wait = answer.headers.get("retry-after")
            headers = ((b"retry-after", wait.encode("latin-1", "replace")),) if wait else ()
            raise UpstreamError(text, upstream_status=answer.status, headers=headers, is_retryable=True)
        raise Misconfigured(text)

    def _check_literal(self, url: str) -> None:
        """The resolver is not asked about addresses that are numbers."""
        host = url.partition("://")[2].partition("/")[0].rpartition("@")[2]
        host = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
        if not _may_be_public(host):
            raise self._private()

    def _private(self) -> Misconfigured:
        return Misconfigured(
            f"{self._title}: the address is not public; an administrator can allow such addresses with "
            "general_settings.allow_private_callback_addresses"
        )


class _NotPublic(OSError):
    """The name leads into a private network."""


class _PublicResolver(AbstractResolver):
    """Resolves names, and refuses those that lead elsewhere than into the public network.

    What it has checked is what is connected to: nobody can change a name's address in between.
    """

    def __init__(self) -> None:
        self._inner = aiohttp.ThreadedResolver()

    @override
    async def resolve(self, host: str, port: int = 0, family: Any = 0) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        if not all(_may_be_public(one["host"]) for one in found):
            raise _NotPublic("not public")
        return found

    @override
    async def close(self) -> None:
        await self._inner.close()


def _is_private(fault: BaseException) -> bool:
    seen: BaseException | None = fault
    while seen is not None:
        if isinstance(seen, _NotPublic) or isinstance(getattr(seen, "os_error", None), _NotPublic):
            return True
        seen = seen.__cause__
    return False


def _may_be_public(host: str) -> bool:
    """False for a number that is of no public network; names are resolved later."""
    try:
        found = ip_address(host.partition("%")[0])
    except ValueError:
        return not host.replace(".", "").isdigit()  # `127.1`: some resolvers take it
    mapped = getattr(found, "ipv4_mapped", None)
    return (mapped or found).is_global


def needed(variables: Mapping[str, str], *names: str, title: str, environment: str = "") -> str:
    """The first of these variables that is given. Raises `Misconfigured` naming them, and the `environment`'s."""
    found = next((variables[name] for name in names if variables.get(name)), None)
    if found is None:
        where = f" (environment: {environment})" if environment else ""
        raise Misconfigured(f"{title}: set {' or '.join(names)}{where}", param=names[0])
    return found


def checked_url(address: str, *, name: str) -> str:
    """An address to send to. Raises `Misconfigured` naming where it was written."""
    if not address.startswith(("https://", "http://")) or any(one.isspace() for one in address):
        raise Misconfigured(f"{name}: an address begins with https:// or http://", param=name)
    return address
