"""Admission: one ticket for every limit and budget that a call touches, or an error that says which one refused.

Texts and headers follow the wire contract; clients search them for `Budget has been exceeded`, `ExceededBudget`,
`Max budget` and `Rate limit exceeded for`.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime

from tollway.core.errors import BudgetExceeded, ClientError, DeploymentFull, Header, LimitExceeded
from tollway.core.money import dollars_from_nanos
from tollway.core.principal import Scope, ScopeKind
from tollway.core.record import Charge
from tollway.core.snapshot import Settings
from tollway.policy.single_flight import SingleFlight
from tollway.ports.counters import CounterStore, Refusal, Ticket, Unseeded

Seed = Callable[[Sequence[Charge]], Awaitable[None]]
"""Tells the counters what the ledger says was spent in these windows. Raises `StoreUnavailable`."""


SCOPES_OF_DEPLOYMENTS: frozenset[ScopeKind] = frozenset({"deployment", "provider"})
"""What limits who is asked, and not who asks: where it refuses, another deployment may be asked."""


class SharedSeed:
    """A `Seed` that runs once for all who want the same windows at the same time."""

    def __init__(self, seed: Seed) -> None:
        self._seed = seed
        self._flights: SingleFlight[tuple[Charge, ...], None] = SingleFlight()

    async def __call__(self, charges: Sequence[Charge]) -> None:
        """Tells the counters what the ledger says was spent in these windows."""
        await self._flights.fetch(tuple(charges), lambda: self._seed(charges))


async def admit(
    store: CounterStore,
    seed: Seed,
    scopes: Sequence[Scope],
    *,
    tokens: int,
    cost_nanos: int,
    settings: Settings,
    key_name: str = "",
    is_more: bool = False,
) -> Ticket:
    """Reserves `tokens` and `cost_nanos`, both upper bounds, in every scope. The ticket has to be settled.

    `is_more`: beside another ticket of the same call; see `CounterStore.reserve`.
    A call that only others' reservations keep out waits up to `settings.budget_wait_s`. `key_name` is the abbreviated
    key for the message. Raises `LimitExceeded`, `BudgetExceeded`, and what `spends` raises when spend has to be read.
    """
    deadline: float | None = None
    while True:
        answer = await store.reserve(scopes, tokens=tokens, cost_nanos=cost_nanos, is_more=is_more)
        if isinstance(answer, Unseeded):
            await seed(answer.charges)
        elif not isinstance(answer, Refusal):
            return answer
        elif not answer.is_by_reservations or answer.scope.kind in SCOPES_OF_DEPLOYMENTS:
            raise refused(answer, settings=settings, key_name=key_name)
        else:
            now = asyncio.get_running_loop().time()
            deadline = deadline or now + settings.budget_wait_s
            left = deadline - now
            if left <= 0 or not await store.changed(left):
                raise refused(answer, settings=settings, key_name=key_name)


def local_limits(divided_by: int) -> Header:
    """Says that the shared counters are away, and by which part of every limit this process goes meanwhile."""
    return (b"x-tollway-limits", b"local; share=1/%d" % divided_by)


def refused(refusal: Refusal, *, settings: Settings, key_name: str = "") -> ClientError:
    """What the caller is told."""
    error = _refused(refusal, settings, key_name)
    if refusal.divided_by > 1:
        error.headers = (*error.headers, local_limits(refusal.divided_by))
    return error


def _refused(refusal: Refusal, settings: Settings, key_name: str) -> ClientError:
    if refusal.scope.kind in SCOPES_OF_DEPLOYMENTS:
        return _deployment_full(refusal)
    if refusal.is_by_reservations:
        return _fully_reserved(refusal)
    if refusal.scope.kind == "session":
        return _over_session(refusal)
    if refusal.kind == "budget":
        error = BudgetExceeded(_over_budget(refusal, key_name), status=settings.budget_exceeded_status)
        error.refused_by = refusal.scope.key
        return error
    scope, resets_at = refusal.scope, _utc(refusal.resets_at)
    return LimitExceeded(
        f"Rate limit exceeded for {scope.kind}: {scope.id}. Limit type: {refusal.kind}. "
        f"Current limit: {refusal.limit}, Remaining: {refusal.remaining}. Limit resets at: {resets_at}",
        headers=(
            (b"retry-after", b"%d" % max(1, math.ceil(refusal.retry_after_s))),
            (b"rate_limit_type", refusal.kind.encode()),
            (b"reset_at", resets_at.encode()),
        ),
    )


_COST = "Budget has been exceeded! {entity} Current cost: {spent}, Max budget: {limit}"
_SPEND = "ExceededBudget: {entity} over budget. Spend={spent}, Budget={limit}"

_WINDOW = "ExceededBudget: {entity} over {duration} budget. Spend=${spent}, Limit=${limit}"
_MODEL = "{entity}, exceeded budget for model={model}. Spend={spent}, Budget={limit}"

_OVER_BUDGET: dict[ScopeKind, tuple[str, str]] = {
    "proxy": ("Budget has been exceeded! Current cost: {spent}, Max budget: {limit}", ""),
    "api_key": (_COST, "Key={label}{key_name}"),
    "key_window": (_WINDOW, "Key={label}{key_name}"),
    "user": (_SPEND, "User={id}"),
    "team": (_COST, "Team={id}"),
    "team_window": (_WINDOW, "Team={label}"),
    "team_member": (_COST, "TeamMember={id}"),
    "organization": (_COST, "Organization={id}"),
    "organization_member": (_COST, "OrganizationMember={id}"),
    "project": (_COST, "Project={id}"),
    "end_user": (_SPEND, "End User={id}"),
    "tag": (_COST, "Tag={id}"),
    "model_access_group": (_COST, "Model access group={id}"),
    "session": ("Session budget exceeded for {entity}. Current cost: {spent}, Max budget: {limit}", "session {label}"),
    "model_per_key": (_MODEL, "LiteLLM Virtual Key: {owner}, key_alias: {key_name}"),
    "model_per_user": (_MODEL, "LiteLLM User: {owner}"),
    "model_per_team": (_MODEL, "LiteLLM Team: {owner}"),
    "model_per_project": (_MODEL, "LiteLLM Project: {owner}"),
    "model_per_organization": (_MODEL, "LiteLLM Organization: {owner}"),
    "model_per_end_user": (_MODEL, "LiteLLM End User: {owner}"),
    "deployment": (_COST, "Deployment={id}"),
    "provider": (_COST, "Provider={id}"),
}
"""Wording by kind of scope: the sentence, and how it names the entity."""


def _over_budget(refusal: Refusal, key_name: str) -> str:
    scope = refusal.scope
    sentence, naming = _OVER_BUDGET[scope.kind]
    entity = naming.format(
        id=scope.id,
        label=scope.label if scope.label not in ("", scope.kind) else "key",
        key_name=f" ({key_name})" if key_name else "",
        owner=scope.id.removesuffix(f":{scope.label}"),
    )
    resets = f"resets at {_utc(refusal.resets_at)}" if refusal.resets_at else "never resets"
    return (
        sentence.format(
            entity=entity,
            spent=dollars_from_nanos(refusal.spent_nanos),
            limit=dollars_from_nanos(refusal.limit),
            duration=scope.budget_duration,
            model=scope.label,
        )
        + f" (window: {scope.budget_duration or 'whole lifetime'}, {resets})"
    )


def _over_session(refusal: Refusal) -> LimitExceeded:
    """A run that has used up its budget or its steps, or goes round in circles: no retry helps, and SDKs are told."""
    if refusal.kind == "budget":
        text = _over_budget(refusal, "")
    elif refusal.kind == "repeats":
        text = (
            f"Session {refusal.scope.label} repeats itself: the same request was sent {refusal.calls} times in a row. "
            f"Max repeated calls: {refusal.limit}. Any other request is served"
        )
    else:
        text = (
            f"Max iterations exceeded for session {refusal.scope.label}. "
            f"Current iterations: {refusal.calls}, Max iterations: {refusal.limit}"
        )
    return LimitExceeded(text, headers=((b"x-should-retry", b"false"), (b"rate_limit_type", refusal.kind.encode())))


def _deployment_full(refusal: Refusal) -> DeploymentFull:
    """Another deployment may take the call; nobody waits for this one."""
    seconds = max(1, math.ceil(refusal.retry_after_s))
    if refusal.kind == "budget":
        return DeploymentFull(
            f"litellm.RateLimitError: No deployments available - crossed budget for {refusal.scope.kind}: "
            f"{refusal.scope.id}. " + _over_budget(refusal, ""),
            headers=((b"retry-after", b"%d" % seconds), (b"rate_limit_type", b"budget")),
        )
    return DeploymentFull(
        f"litellm.RateLimitError: No deployments available for selected model, Try again in {seconds} seconds. "
        f"Passed model={refusal.scope.label}. Limit type: {refusal.kind}, of each deployment: {refusal.limit}",
        headers=((b"retry-after", b"%d" % seconds), (b"rate_limit_type", refusal.kind.encode())),
    )


def _fully_reserved(refusal: Refusal) -> LimitExceeded:
    scope = refusal.scope
    name = scope.label if scope.kind == "session" else scope.id
    return LimitExceeded(
        f"The budget of {scope.kind}: {name} is fully reserved by calls in flight. "
        f"Current cost: {dollars_from_nanos(refusal.spent_nanos)}, Max budget: {dollars_from_nanos(refusal.limit)}. "
        "Retry when they have finished; a lower max_tokens makes each call reserve less.",
        headers=((b"retry-after", b"1"), (b"rate_limit_type", b"budget")),
    )


def _utc(epoch_s: float) -> str:
    """To the second, rounded up: nobody is told to come back too early."""
    return datetime.fromtimestamp(math.ceil(epoch_s), UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
