"""Where whole answers are kept, so that the same question need not be asked again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec


class KeptAnswer(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An answer as its first caller got it. Stores write it as a msgpack array: append only, always with a default."""

    created_at: float
    """Epoch seconds."""
    body: bytes
    """JSON, or all events of a stream."""
    is_stream: bool = False
    response_id: str = ""
    deployment_id: str = ""
    cost_nanos: int = 0
    """What it cost, and what each further use saves."""
    tokens: int = 0
    """Prompt and answer."""


encode_answer = msgspec.msgpack.Encoder().encode
decode_answer = msgspec.msgpack.Decoder(KeptAnswer).decode


class ResponseStore(Protocol):
    """Answers by key, each for a time. Nothing here ever fails a call: what cannot be read is not there."""

    kind: str
    """As operators call it: `local`, `redis`, `disk`, `database`, `s3`."""

    async def get(self, key: str) -> KeptAnswer | None:
        """The answer, unless its time is over."""
        ...

    def put(self, key: str, answer: KeptAnswer, ttl_s: float) -> None:
        """Keeps an answer for so long, soon; nobody waits for it."""
        ...

    async def delete(self, keys: Sequence[str]) -> int:
        """Forgets these; how many there were. Raises `StoreUnavailable`."""
        ...

    async def clear(self) -> None:
        """Forgets every answer, and nothing else. Raises `StoreUnavailable`."""
        ...

    async def ping(self) -> None:
        """Writes and reads something. Raises `StoreUnavailable`."""
        ...

    async def info(self) -> dict[str, Any] | None:
        """What the server behind it says about itself; None: there is none. Raises `StoreUnavailable`."""
        ...

    async def close(self) -> None:
        """Writes what is still to be written."""
        ...


class SealedAnswer(msgspec.Struct, frozen=True, gc=False):
    """An answer as a database holds it: nobody can read it there."""

    digest: bytes
    """Of its key, which may hold any text."""
    expires_at: int
    """Epoch microseconds."""
    content: bytes


class AnswerTable(Protocol):
    """Answers in a database, many at once. Every method raises `StoreUnavailable`."""

    async def find(self, digests: Sequence[bytes], *, now: int) -> Mapping[bytes, bytes]:
        """The contents that are there and whose time is not over, by digest. `now`: epoch microseconds."""
        ...

    async def write(self, answers: Sequence[SealedAnswer]) -> None:
        """Adds these, or puts them in the place of older ones. No digest may come twice."""
        ...

    async def delete(self, digests: Sequence[bytes]) -> int:
        """How many there were."""
        ...

    async def clear(self) -> None:
        """Deletes all."""
        ...

    async def trim(self, max_bytes: int) -> bool:
        """Deletes some of those beyond the maximum, whose time is over first; whether there may be more."""
        ...
