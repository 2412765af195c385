"""From one database address to another: opens both, looks whether a copy can be made, and makes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tollway.core.errors import Conflict, Misconfigured
from tollway.db.pool import PoolSettings
from tollway.db.upgrade import current_revision, head_revision, upgrade
from tollway.db.url import mask_url

if TYPE_CHECKING:
    from tollway.stores.sql.copying import Copied, Progress

_AS_LONG_AS_IT_TAKES = PoolSettings(size=2, answer_timeout_s=None)


async def copy_database(source: str, target: str, progress: Progress, *, resumes: bool = False) -> Copied:
    """Copies a whole database into an empty one, which is made and brought to the newest schema if need be.

    `resumes`: the target may hold an earlier copy, which is written over.
    Raises `Misconfigured`, `StoreUnavailable`, and `Conflict` for a target with rows or a source with another schema.
    """
    if source.strip() == target.strip():
        raise Misconfigured("The database to copy from and the one to copy to are the same.", param="to")
    await _check_source(source)
    await upgrade(target)
    from tollway.db.engine import open_engine
    from tollway.stores.sql.copying import copy_rows, filled_tables

    reader = open_engine(source, pool=_AS_LONG_AS_IT_TAKES)
    writer = open_engine(target, pool=_AS_LONG_AS_IT_TAKES)
    try:
        filled = [] if resumes else await filled_tables(writer)
        if filled:
            raise Conflict(
                f"{mask_url(target)} is not empty: {filled[0]} has rows. Copy into a new database; or, where an "
                "earlier copy was not finished or is to be brought up to date, add --resume.",
                param="to",
            )
        return await copy_rows(reader, writer, progress)
    finally:
        await reader.dispose()
        await writer.dispose()


async def _check_source(url: str) -> None:
    revision = await current_revision(url)
    if revision is None:
        raise Conflict(f"{mask_url(url)} has no tables of Tollway: there is nothing to copy.", param="from")
    if revision != head_revision():
        raise Conflict(
            f"{mask_url(url)} has the schema {revision}, and this version works with {head_revision()}. "
            "Run `tollway db upgrade` on it first, with the version that its gateways will run.",
            param="from",
        )
