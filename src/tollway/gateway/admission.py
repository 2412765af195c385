"""What a call holds in the counters: reserved before it is sent, changed when it goes to another deployment."""

from __future__ import annotations

from collections.abc import Sequence

from tollway.accounting.pricing import upper_bound_nanos
from tollway.accounting.tool_pricing import tool_bound_nanos
from tollway.core.principal import Scope, budget_only, without_limits
from tollway.core.snapshot import Deployment
from tollway.gateway.billing import may_change_tier
from tollway.gateway.bounds import answer_bound, prompt_bound, tool_bound
from tollway.gateway.call import Call
from tollway.policy import limits
from tollway.ports.counters import CounterStore, Ticket


class Admission:
    """Reserves an upper bound of what a call can use in every scope that it touches."""

    def __init__(self, counters: CounterStore, seed: limits.Seed) -> None:
        self._counters = counters
        self._seed = limits.SharedSeed(seed)

    async def admit(self, call: Call, deployment: Deployment) -> None:
        """Reserves for a call at a deployment, all or nothing; of one that holds something, only what differs.

        Raises `DeploymentFull` where the deployment has no room, and what `limits.admit` raises.
        """
        if call.reserved_for is deployment and not call.accrued_nanos:
            return
        scopes = scopes_of(call, deployment)
        if call.tickets:
            await self._move(call, deployment, scopes)
        elif scopes:
            tokens, cost_nanos = bounds_of(call, deployment)
            call.tickets = (await self._reserve(call, scopes, tokens, cost_nanos),)
            call.reserved_nanos = cost_nanos
        call.scopes, call.reserved_for = scopes, deployment

    async def admit_beside(self, call: Call, deployment: Deployment) -> None:
        """Reserves for an attempt at another deployment beside the one that is on its way.

        Raises as `admit`. What was reserved by then is given back with the rest of the call.
        """
        assert call.reserved_for is not None
        wanted = {scope.key for scope in deployment.scopes}
        elsewhere = {scope.key for scope in call.reserved_for.scopes} - wanted
        tokens, cost_nanos = bounds_of(call, deployment)
        budgeted = [one for one in call.scopes if one.budget_nanos is not None and one.key not in elsewhere]
        if budgeted:
            call.tickets += (await self._reserve(call, budgeted, 0, cost_nanos, is_more=True),)
        call.scopes += await self._add(call, deployment.scopes, tokens, cost_nanos)

    async def leave(self, call: Call, left: Deployment, kept: Deployment) -> None:
        """Gives back what only the one of two deployments needed, at both of which the call was."""
        still = {scope.key for scope in kept.scopes}
        gone = [scope for scope in left.scopes if scope.key not in still]
        if gone:
            await self._give_back(call, gone)
        call.reserved_for = kept

    async def admit_reuse(self, call: Call) -> None:
        """Counts a call that gets an answer again in the limits of its caller. It takes no tokens, and no money.

        Raises what `limits.admit` raises.
        """
        if call.tickets:  # `admit_caller` has counted it
            return
        call.scopes = _scopes_of_caller(call)
        if call.scopes:
            call.tickets = (await self._reserve(call, call.scopes, 0, 0),)

    async def admit_caller(self, call: Call, deployment: Deployment) -> None:
        """Counts a call in the limits of its caller while it is open whether anybody has to be asked.

        Its tokens are reserved as if this deployment were; the money is, by `admit`, once somebody is. Raises what
        `limits.admit` raises.
        """
        call.deployment = deployment  # for the record, if nothing more comes of it
        call.scopes = _scopes_of_caller(call)
        if call.scopes:
            tokens, _ = bounds_of(call, deployment)
            call.tickets = (await self._reserve(call, call.scopes, tokens, 0),)

    async def admit_aside(self, call: Call, deployment: Deployment) -> None:
        """Reserves for a call that the gateway makes for the sake of one that its caller has made.

        It goes by the caller's budgets, and counts in none of their rates: they asked once. Raises as `admit` does.
        """
        tokens, cost_nanos = bounds_of(call, deployment)
        call.scopes, call.reserved_for, call.reserved_nanos = _scopes_of_caller(call), deployment, cost_nanos
        if call.scopes:
            budgets = [budget_only(scope) for scope in call.scopes]
            call.tickets = (await self._reserve(call, budgets, 0, cost_nanos, is_more=True),)
        if deployment.scopes:
            call.tickets += (await self._reserve(call, deployment.scopes, tokens, cost_nanos),)

    async def admit_late(self, call: Call, deployment: Deployment) -> None:
        """Counts a call whose answer is there already, wherever it counts: nothing can refuse it.

        Raises what `spends` raises when spend has to be read.
        """
        call.scopes, call.reserved_for = scopes_of(call, deployment), deployment
        if call.scopes:
            call.tickets = (await self._reserve(call, [without_limits(scope) for scope in call.scopes], 0, 0),)

    async def _move(self, call: Call, deployment: Deployment, scopes: tuple[Scope, ...]) -> None:
        """To another deployment: gives back what only the last one needed, and adds what this one needs."""
        wanted = {scope.key for scope in scopes}
        gone = [scope for scope in call.scopes if scope.key not in wanted]
        if gone:
            await self._give_back(call, gone)
            call.reserved_for = None
        tokens, cost_nanos = bounds_of(call, deployment)
        cost_nanos += call.accrued_nanos
        more = cost_nanos - call.reserved_nanos
        budgeted = [scope for scope in call.scopes if scope.budget_nanos is not None]
        if more > 0 and budgeted:
            call.tickets += (await self._reserve(call, budgeted, 0, more, is_more=True),)
        call.reserved_nanos = max(cost_nanos, call.reserved_nanos)
        await self._add(call, scopes, tokens, cost_nanos)

    async def _add(self, call: Call, scopes: Sequence[Scope], tokens: int, cost_nanos: int) -> tuple[Scope, ...]:
        """Reserves in those of the scopes in which the call holds nothing yet, and says which."""
        held = {scope.key for scope in call.scopes}
        added = tuple(scope for scope in scopes if scope.key not in held)
        if added:
            call.tickets += (await self._reserve(call, added, tokens, cost_nanos),)
        return added

    async def _give_back(self, call: Call, gone: Sequence[Scope]) -> None:
        """Ends what the call holds in these scopes."""
        for ticket in call.tickets:
            await self._counters.withdraw(ticket, gone)
        keys = {scope.key for scope in gone}
        call.scopes = tuple(scope for scope in call.scopes if scope.key not in keys)

    async def _reserve(
        self, call: Call, scopes: Sequence[Scope], tokens: int, cost_nanos: int, *, is_more: bool = False
    ) -> Ticket:
        return await limits.admit(
            self._counters,
            self._seed,
            scopes,
            tokens=tokens,
            cost_nanos=cost_nanos,
            settings=call.settings,
            key_name=call.principal.key_name,
            is_more=is_more,
        )


def bounds_of(call: Call, deployment: Deployment) -> tuple[int, int]:
    """The most tokens, and nano-dollars, that a call can use at a deployment."""
    tokens_in = prompt_bound(call, deployment)
    tokens_out = answer_bound(call.request, deployment, call.settings) if call.operation != "embeddings" else 0
    price = deployment.price
    in_any_tier = bool(price.service_tiers) and may_change_tier(call.request, deployment)
    cost = upper_bound_nanos(price, input_tokens=tokens_in, output_tokens=tokens_out, in_any_tier=in_any_tier)
    if price.tools is not None and (uses := tool_bound(call.request)):
        cost += tool_bound_nanos(price.tools, uses)
    return tokens_in + tokens_out, cost


def scopes_of(call: Call, deployment: Deployment) -> tuple[Scope, ...]:
    """Every entity whose limits the call touches: what its key belongs to, what it names, their limits for this model,
    and the deployment."""
    scopes = _scopes_of_caller(call)
    return (*scopes, *deployment.scopes) if deployment.scopes else scopes


def _scopes_of_caller(call: Call) -> tuple[Scope, ...]:
    principal, customer = call.principal, call.customer
    proxy = call.settings.proxy_scope
    is_plain = customer is None and call.session is None and not call.limited and proxy is None
    if is_plain and not principal.model_scopes:
        return principal.scopes
    model = call.group.name if call.group is not None else ""
    scopes = [*principal.scopes, *principal.model_scopes.get(model, ())]
    scopes += [entity.scope for entity in call.limited]
    if customer is not None:
        scopes.append(customer.scope)
        if model in customer.model_scopes:
            scopes.append(customer.model_scopes[model])
    if call.session is not None:
        scopes.append(call.session)
    if proxy is not None and not principal.is_admin:
        scopes.append(proxy)
    return tuple(scopes)
