"""Documents that are the same for everybody for as long as the process lives.

Each is made when somebody first asks for it, once, aside from the calls in flight, and kept packed: strangers may ask
as often as they like.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from fastapi import Depends, Request, Response

from tollway.accounting.price_book import PriceBook
from tollway.control.public.cost_map import cost_map
from tollway.control.public.providers import provider_forms
from tollway.providers import names

_MAX_AGE_S = 3600


class Sheet(msgspec.Struct, frozen=True):
    """A document, ready to be sent."""

    plain: bytes
    packed: bytes
    tag: str
    """Weak, as it stands for both forms."""


class Fixed:
    """A document that is made once."""

    def __init__(self, make: Callable[[], Any]) -> None:
        """`make` runs in a thread, and not before the first request."""
        self._make = make
        self._lock = asyncio.Lock()
        self._sheet: Sheet | None = None

    async def answer(self, request: Request) -> Response:
        """The document, or 304 for somebody who has it."""
        sheet = await self.sheet()
        headers = {
            "etag": sheet.tag,
            "cache-control": f"public, max-age={_MAX_AGE_S}",
            "vary": "accept-encoding",
        }
        if _has(request, sheet.tag):
            return Response(status_code=304, headers=headers)
        is_packed = _takes_gzip(request)
        packing = {"content-encoding": "gzip"} if is_packed else {}
        body = sheet.packed if is_packed else sheet.plain
        return Response(body, media_type="application/json", headers=headers | packing)

    async def sheet(self) -> Sheet:
        """The document, made now if nobody has asked before."""
        async with self._lock:
            if self._sheet is None:
                self._sheet = await asyncio.to_thread(_sheet, self._make)
            return self._sheet


class Catalog:
    """All of them."""

    def __init__(self, prices: Callable[[], PriceBook]) -> None:
        self.costs = Fixed(lambda: cost_map(prices()))
        self.providers = Fixed(names)
        self.forms = Fixed(lambda: [form.model_dump() for form in provider_forms()])


def _sheet(make: Callable[[], Any]) -> Sheet:
    plain = msgspec.json.encode(make())
    return Sheet(plain, gzip.compress(plain, mtime=0), f'W/"{hashlib.sha256(plain).hexdigest()[:32]}"')


def _has(request: Request, tag: str) -> bool:
    held = [one.strip() for one in request.headers.get("if-none-match", "").split(",")]
    return "*" in held or any(one.removeprefix("W/") == tag.removeprefix("W/") for one in held)


def _takes_gzip(request: Request) -> bool:
    offers = (one.replace(" ", "").lower() for one in request.headers.get("accept-encoding", "").split(","))
    return any(offer.partition(";")[0] == "gzip" and not offer.endswith(";q=0") for offer in offers)


async def _catalog(request: Request) -> Catalog:
    catalog: Catalog = request.app.state.catalog
    return catalog


CatalogDep = Annotated[Catalog, Depends(_catalog)]
