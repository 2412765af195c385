"""What secret managers have in common: secrets are asked for one by one, some at a time, over HTTP."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from typing_extensions import override

from tollway.core.errors import Misconfigured, UpstreamError
from tollway.ports.secrets import SecretManager
from tollway.providers.sign_in import ask

_AT_ONCE = 8
_NOT_FOUND = 404
_OK = 200


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What to send."""

    url: str
    """Checked: `secure_url`."""
    headers: Mapping[str, str] = {}
    body: bytes | None = None
    """None: a GET."""


class Answer(msgspec.Struct, frozen=True):
    """What came back."""

    status: int
    body: bytes

    def field(self, *path: str) -> Any:
        """Something in its JSON; None where there is no such thing."""
        try:
            found = msgspec.json.decode(self.body)
        except msgspec.DecodeError:
            return None
        for name in path:
            found = found.get(name) if isinstance(found, dict) else None
        return found


class HttpManager(SecretManager, ABC):
    """A manager that is asked for each secret by a request of its own."""

    title: str
    """As operators call it, at the beginning of a message."""
    check: str
    """What to look at where it cannot be reached, or refuses."""
    expected: str
    """What a secret has to look like."""
    verify: bool = True
    """False: certificates are not checked."""

    @override
    async def read(self, names: Sequence[str]) -> Mapping[str, str]:
        headers = await self.sign_in()
        turns = asyncio.Semaphore(_AT_ONCE)

        async def one(name: str) -> str | None:
            async with turns:
                answer = await self.send(await self.request(name, headers))
            if self.is_absent(answer):
                return None
            if answer.status != _OK:
                raise self.refused(f"for {name}", answer)
            found = self.text(answer)
            if found is None:
                raise Misconfigured(f"{self.title}: {name} holds no text that could be used; {self.expected}")
            return found

        found = await asyncio.gather(*(one(name) for name in names))
        return {name: text for name, text in zip(names, found, strict=True) if text is not None}

    async def sign_in(self) -> Mapping[str, str]:
        """Headers that say who asks. Raises `UpstreamError`."""
        return {}

    @abstractmethod
    async def request(self, name: str, headers: Mapping[str, str]) -> Request:
        """How one secret is asked for. `headers`: those of `sign_in`."""

    @abstractmethod
    def text(self, answer: Answer) -> str | None:
        """The secret in a good answer; None: there is none in it."""

    def is_absent(self, answer: Answer) -> bool:
        """Whether it says that there is no such secret."""
        return answer.status == _NOT_FOUND

    async def send(self, request: Request) -> Answer:
        """One request. Raises `UpstreamError` where nobody answers."""
        status, body = await asyncio.to_thread(
            ask,
            request.url,
            request.body,
            service=self.title,
            check=self.check,
            verify=self.verify,
            headers=request.headers,
        )
        return Answer(status, body)

    def refused(self, what: str, answer: Answer) -> UpstreamError:
        """For an answer that is no good. What it says is not repeated: it may hold what it was sent."""
        return UpstreamError(f"{self.title} answered HTTP {answer.status} {what}; check {self.check}")


def needed(environ: Mapping[str, str], *names: str, title: str) -> str:
    """The first of these variables that is set. Raises `Misconfigured` naming them."""
    found = next((environ[name] for name in names if environ.get(name)), None)
    if found is None:
        raise Misconfigured(f"{title}: set {' or '.join(names)}")
    return found
