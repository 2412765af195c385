"""What entities have spent: always a sum of ledger records, so a change of it is a record too."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, case, func, literal, select

from tollway.control.kit.context import Context, changing
from tollway.control.kit.limits import check_dollars
from tollway.control.services import Services
from tollway.core.errors import InvalidRequest
from tollway.core.money import dollars_from_nanos, nanos_from_dollars
from tollway.core.principal import Scope, ScopeKind
from tollway.core.record import Charge
from tollway.core.windows import FOREVER, Window, stored_window
from tollway.db.ledger import spend_windows

_CHARGES_PER_QUERY = 1000
"""Databases bound the parameters of a statement."""


def window_of(services: Services, duration: str | None) -> Window:
    """The budget window that calls count in now."""
    settings = services.settings
    return stored_window(duration, services.clock(), timezone=settings.timezone, reset_time=settings.budget_reset_time)


def charge_of(services: Services, scope: Scope) -> Charge:
    """The window that an entity spends in now."""
    return Charge(*scope.key, window_of(services, scope.budget_duration).start)


def resets_at(services: Services, duration: str | None) -> datetime | None:
    """When the budget window ends: `budget_reset_at` of the wire; None for a budget that never resets."""
    span = window_of(services, duration)
    return None if span == FOREVER else datetime.fromtimestamp(span.end, UTC)


async def spent_nanos(services: Services, scopes: Sequence[Scope]) -> list[int]:
    """What each of these has spent in its current window, every settled call included; in their order."""
    if not scopes:
        return []
    await services.ledger.flush_everywhere()
    charges = [charge_of(services, scope) for scope in scopes]
    return [
        nanos
        for start in range(0, len(charges), _CHARGES_PER_QUERY)
        for nanos in await services.spend.window_spend(charges[start : start + _CHARGES_PER_QUERY])
    ]


def current_spend(
    services: Services, kind: ScopeKind, id: ColumnElement[Any], duration: ColumnElement[Any], durations: Iterable[str]
) -> ColumnElement[int]:
    """Nano-dollars in the current window of each row's entity, for sorting inside the database.

    `id` and `duration` are columns of the rows; `durations` every budget period that occurs among them.
    """
    starts = {text: window_of(services, text).start for text in durations}
    start = case(starts, value=duration, else_=FOREVER.start) if starts else literal(FOREVER.start)
    spent = select(spend_windows.c.spend_nanos).where(
        spend_windows.c.scope_kind == kind, spend_windows.c.scope_id == id, spend_windows.c.window_start == start
    )
    return func.coalesce(spent.scalar_subquery(), 0)


async def set_spend(
    context: Context, scope: Scope, nanos: int, *, key_hash: str = "", user_id: str = "", team_id: str = ""
) -> int:
    """Makes the spend of an entity's current window `nanos`, by a record of the difference; what it was before.

    The ids are for the record. Raises `Overloaded` when it cannot be recorded.
    """
    services = context.services
    (spent,) = await spent_nanos(services, [scope])
    if spent != nanos:
        cause = {
            "changed_by": context.changed_by or context.actor.name,
            "scope": scope.kind,
            "id": scope.id,
            "spend_set_to": dollars_from_nanos(nanos),
        }
        await services.ledger.record_adjustment(
            charge_of(services, scope),
            nanos - spent,
            key_hash=key_hash,
            user_id=user_id,
            team_id=team_id,
            metadata=msgspec.json.encode(cause),
        )
    return spent


async def lower_spend(context: Context, scope: Scope, reset_to: float, *, audited: tuple[str, str], **ids: str) -> int:
    """Sets the spend of the current window back to `reset_to` dollars; what it was before, in nano-dollars.

    `audited`: resource and id in the audit log. Raises `InvalidRequest` for more than has been spent, or than the
    budget.
    """
    check_dollars("reset_to", reset_to)
    (spent,) = await spent_nanos(context.services, [scope])
    wanted = nanos_from_dollars(reset_to)
    for name, most in (("the current spend of", spent), ("max_budget", scope.budget_nanos)):
        if most is not None and wanted > most:
            raise InvalidRequest(
                f"reset_to must not be above {name} {dollars_from_nanos(most)}. Received: {reset_to}",
                param="reset_to",
                type="bad_request_error",
            )
    async with changing(context) as unit:
        before, after = {"spend": dollars_from_nanos(spent)}, {"spend": reset_to}
        unit.audit("updated", *audited, before=before, after=after)
    await set_spend(context, scope, wanted, **ids)
    return spent


async def carry_spend(context: Context, before: Scope, after: Scope, **ids: str) -> None:
    """Takes what was spent along into the window of a changed `budget_duration`."""
    await carry_spends(context, [(before, after)], **ids)


async def carry_spends(context: Context, changes: Sequence[tuple[Scope, Scope]], **ids: str) -> None:
    """The same for many entities: each as it was, and as it is."""
    changed = [(before, after) for before, after in changes if before.budget_duration != after.budget_duration]
    spent = await spent_nanos(context.services, [before for before, _ in changed])
    present = await spent_nanos(context.services, [after for _, after in changed])
    for (_, after), nanos, already in zip(changed, spent, present, strict=True):
        if nanos != already:
            await set_spend(context, after, nanos, **ids)
