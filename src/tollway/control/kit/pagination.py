"""Pages of a listing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Query, Response

from tollway.control.kit.body import say

_MAX_OFFSET = 2**63 - 1
"""Databases count no further."""


@dataclass(frozen=True, slots=True)
class Page:
    """Page `number`, counted from 1, of `size` entries."""

    number: int = 1
    size: int = 10

    @property
    def offset(self) -> int:
        """Entries before this page."""
        return min((self.number - 1) * self.size, _MAX_OFFSET)

    def pages(self, total: int) -> int:
        """How many pages `total` entries fill."""
        return -(-total // self.size)


async def _page_of_array(
    page: Annotated[int, Query(ge=1, le=1_000_000)] = 1, page_size: Annotated[int, Query(ge=1, le=1000)] = 1000
) -> Page:
    return Page(page, page_size)


PageDep = Annotated[Page, Depends(_page_of_array)]
"""The page of a listing whose answer is a bare array, which existing clients expect to be all there is."""


def warn_of_more(response: Response, page: Page, total: int) -> None:
    """Says so when a bare array is not all there is."""
    if total > page.size:
        say(response, f"page {page.number} of {page.pages(total)}: ask for more with page and page_size")
