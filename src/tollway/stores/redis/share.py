"""What one worker may admit by itself while the shared counters are away: an equal share of what is left."""

from __future__ import annotations

import msgspec

from tollway.core.principal import Scope


class Known(msgspec.Struct, frozen=True, gc=False):
    """What was known of a budget window when the counters went away."""

    nanos: int = 0
    """Settled by all workers."""
    calls: int = 0
    elsewhere_nanos: int = 0
    """Reserved by the other workers: it may be spent by now."""


def local_share(scope: Scope, workers: int, known: Known, cost_nanos: int) -> Scope:
    """The scope with 1/`workers` of its limits for a call of `cost_nanos`, so that all workers together stay within
    them: budgets by no more than one call, as ever.

    Of budgets only what was left is divided. A rate that is not 0 admits at least one call, or many workers would admit
    none at all.
    """
    return msgspec.structs.replace(
        scope,
        rpm=_part(scope.rpm, workers),
        tpm=_part(scope.tpm, workers),
        parallel=_part(scope.parallel, workers),
        budget_nanos=_rest(scope.budget_nanos, workers, known.nanos, known.elsewhere_nanos, cost_nanos),
        max_calls=_rest(scope.max_calls, workers, known.calls, 0, 0),
    )


def _part(limit: int | None, workers: int) -> int | None:
    return None if limit is None else max(limit // workers, min(limit, 1))


def _rest(limit: int | None, workers: int, known: int, elsewhere: int, excess: int) -> int | None:
    """`excess`: by how much a last call may go beyond the limit. Each worker has one, so they share that too."""
    if limit is None or limit <= known:
        return limit
    left = max(0, limit - known - elsewhere)
    return max(known, known + (left + excess) // workers - excess)
