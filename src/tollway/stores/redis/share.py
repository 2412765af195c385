"""What one worker may admit by itself while the shared counters are away: an equal share of what is left."""

from __future__ import annotations

import msgspec

from tollway.core.principal import Scope
from tollway.stores.memory.counter import SettledSum


def local_share(scope: Scope, workers: int, known: SettledSum) -> Scope:
    """The scope with 1/`workers` of its limits, so that all workers together stay within them.

    `known`: what was settled in its window when the counters went away; only what is left beyond that is divided. A
    limit that is not 0 admits at least one call at a time, or many workers would admit none at all.
    """
    return msgspec.structs.replace(
        scope,
        rpm=_part(scope.rpm, workers),
        tpm=_part(scope.tpm, workers),
        parallel=_part(scope.parallel, workers),
        budget_nanos=_rest(scope.budget_nanos, workers, known.nanos),
        max_calls=_rest(scope.max_calls, workers, known.calls),
    )


def _part(limit: int | None, workers: int) -> int | None:
    return None if limit is None else max(limit // workers, min(limit, 1))


def _rest(limit: int | None, workers: int, known: int) -> int | None:
    return limit if limit is None or limit <= known else known + (limit - known) // workers
