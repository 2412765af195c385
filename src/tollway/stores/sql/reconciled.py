"""What the ledger says about each day and model, to be compared with a provider's own figures."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from tollway.db.engine import reading
from tollway.db.ledger import daily_usage, ledger
from tollway.db.partitions import micros_of
from tollway.ports.spend import Days
from tollway.ports.verification import GatewayLine
from tollway.stores.sql.upkeep import read_horizon

_MICROS_PER_DAY = 86_400_000_000
_EPOCH = date(1970, 1, 1)


async def gateway_lines(engine: AsyncEngine, days: Days, provider: str | None) -> tuple[list[GatewayLine], date | None]:
    """A line for each day and model of a provider (None: of all), and the first day whose unpriced calls are known.

    That is None where no record was ever dropped. Sums are read, and for unpriced calls the records of these days: no
    index finds those. Raises `StoreUnavailable`.
    """
    async with reading(engine) as connection:
        horizon = await read_horizon(connection)
        unpriced = {
            (_EPOCH + timedelta(days=int(day)), model): int(calls)
            for day, model, calls in await connection.execute(_unpriced(days, provider))
        }
        usage = daily_usage.c
        sums = [func.sum(usage[name]) for name in ("spend_nanos", "calls", "input_tokens", "output_tokens")]
        of_all = (usage.dimension == "all", usage.entity == "")
        in_days = usage.day.between(days.first.isoformat(), days.last.isoformat())
        query = select(usage.day, usage.model, *sums).where(*of_all, in_days).group_by(usage.day, usage.model)
        if provider is not None:
            query = query.where(usage.provider == provider)
        lines = [
            GatewayLine(
                day=date.fromisoformat(day),
                model=model,
                spend_nanos=int(spend),
                calls=int(calls),
                input_tokens=int(prompt),
                output_tokens=int(output),
                unpriced_calls=unpriced.get((date.fromisoformat(day), model), 0),
            )
            for day, model, spend, calls, prompt, output in await connection.execute(query)
            if spend or prompt or output or (date.fromisoformat(day), model) in unpriced
        ]
    return lines, None if horizon is None else datetime.fromtimestamp(horizon / 1e6, UTC).date()


def _unpriced(days: Days, provider: str | None) -> Select[Any]:
    day = (ledger.c.started_at // _MICROS_PER_DAY).label("day")
    in_days = ledger.c.started_at.between(micros_of(days.first), micros_of(days.last + timedelta(days=1)) - 1)
    query = (
        select(day, ledger.c.model, func.count())
        .where(in_days, ledger.c.is_priced.is_(False), ledger.c.kind != "adjustment", ledger.c.is_success)
        .group_by(day, ledger.c.model)
    )
    return query if provider is None else query.where(ledger.c.provider == provider)
