"""Settlement: what a call used, what that costs, and the one record of it. Always runs, exactly once."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable

import msgspec

from tollway.accounting.pricing import cost_nanos
from tollway.core.errors import TollwayError, UpstreamError
from tollway.core.money import dollars_from_nanos
from tollway.core.principal import Scope
from tollway.core.record import MASTER_KEY_ID, Record
from tollway.core.snapshot import Deployment, Operation
from tollway.core.usage import NO_USAGE, ServiceTier, Usage
from tollway.gateway.billing import complete_usage
from tollway.gateway.call import Call, is_background
from tollway.observability.counts import UNKNOWN, CallCounts, CallLabels, KeyBudget
from tollway.observability.metrics import Metrics
from tollway.ports.counters import CounterStore, Settled
from tollway.ports.ledger import Journal

logger = logging.getLogger(__name__)

Estimate = Callable[[bytes, str, str, Operation], Awaitable[Usage]]
"""Counts a call that the provider did not: upstream body, text of the answer, model, operation."""

Hear = Callable[[Call, Record], None]
Failed = Callable[[Call, TollwayError], None]

CALL_TYPES: dict[Operation, str] = {
    "chat": "acompletion",
    "completions": "atext_completion",
    "embeddings": "aembedding",
    "responses": "aresponses",
    "messages": "anthropic_messages",
    "gemini": "agenerate_content",
}
CLIENT_GONE_STATUS = 499
_LABELS_KEPT = 10_000


class Settler:
    """Replaces reservations by what was used, writes records, counts."""

    def __init__(self, counters: CounterStore, journal: Journal, metrics: Metrics, estimate: Estimate) -> None:
        self._counters = counters
        self._journal = journal
        self._metrics = metrics
        self._estimate = estimate
        counters.tell_crossed(self._tell_crossed)
        self.hear: Hear | None = None
        """Tells those who are told about calls. It returns at once, and raises nothing."""
        self.failed: Failed | None = None
        """Hears of calls that failed or were refused, for alerts; the same holds."""
        self.crossed: Callable[[Scope], None] | None = None
        """Hears of soft budgets that were crossed; the same holds."""
        self._successes: dict[tuple[str | None, ...], CallCounts] = {}
        """Metrics of successful calls by what their labels are made of, so that these are not made for each call."""

    async def settle(
        self,
        call: Call,
        usage: Usage | None,
        *,
        response_id: str = "",
        text: str = "",
        known: Usage = NO_USAGE,
        error: TollwayError | None = None,
    ) -> int:
        """Settles an admitted call and returns its cost in nano-dollars.

        `usage` None: the provider reported none, so `text` is counted, provided the request was sent at all; of the
        prompt it may have said something before it was cut (`known`). Raises `Overloaded` if the record could not be
        written; the reservation is replaced even then.
        """
        call.is_settled = True
        deployment = call.deployment
        assert deployment is not None
        if usage is None:
            usage = await self._count(call, deployment, text, known) if _was_served(call, text, error) else NO_USAGE
        if deployment.price.is_more_than_rates:
            usage = complete_usage(call, deployment, usage, known)
        cost = cost_nanos(deployment.price, usage) if call.kept is None and usage is not NO_USAGE else 0
        if call.accrued_usage is not NO_USAGE:
            usage, cost = usage.plus(call.accrued_usage), cost + call.accrued_nanos
        if call.tickets:
            call.settled = await self._settle_tickets(call, usage.total_tokens - usage.cache_read_tokens, cost)
            call.spent_nanos = call.settled.spent_nanos
        self._observe(call, deployment, usage, cost, error)
        if error is not None and self.failed is not None:
            self.failed(call, error)
        record = self._record(call, deployment, usage, cost, response_id, error)
        await self._journal.append(record)
        if call.audience is not None and self.hear is not None:
            self.hear(call, record)
        return cost

    async def accrue(self, call: Call, usage: Usage | None, *, text: str = "", known: Usage = NO_USAGE) -> None:
        """Notes what an attempt has used that was cut short, and is followed by another. `usage` as in `settle`."""
        deployment = call.deployment
        assert deployment is not None
        if usage is None and not call.sent:
            return
        used = usage if usage is not None else await self._count(call, deployment, text, known)
        if deployment.price.is_more_than_rates:
            used = complete_usage(call, deployment, used, known)
        call.accrue(used, cost_nanos(deployment.price, used))

    def refuse(self, call: Call, error: TollwayError) -> None:
        """Counts a call that was turned away before any provider was asked."""
        call.is_settled = True
        if self.failed is not None:
            self.failed(call, error)
        self._metrics.record_call(_labels(call, call.deployment, error), total_s=time.perf_counter() - call.started)

    def count_attempt(self, call: Call, error: TollwayError) -> None:
        """Counts an attempt that failed and is followed by another."""
        if call.sent and call.deployment is not None:
            self._metrics.record_attempt(_labels(call, call.deployment, error), upstream_s=call.upstream_s)

    def count_fallback(self, call: Call, group: str, cause: TollwayError, *, is_success: bool) -> None:
        """Counts what came of turning to another model group; `cause`: what the one before it failed with."""
        principal, asked = call.principal, call.asked_group
        labels = CallLabels(
            requested_model=asked.name if asked is not None else UNKNOWN,
            model_group=group,
            model_id=call.deployment.id if call.deployment is not None else UNKNOWN,
            hashed_api_key=principal.key_hash or UNKNOWN,
            api_key_alias=principal.key_alias or UNKNOWN,
            team=principal.team_id or UNKNOWN,
            exception_status=str(cause.status),
            exception_class=_error_class(cause),
        )
        self._metrics.record_fallback(labels, is_success=is_success)

    async def _settle_tickets(self, call: Call, tokens: int, cost_nanos: int) -> Settled:
        """All of them; what money was reserved beside the first is only given back."""
        first, *others = call.tickets
        settled = await self._counters.settle(first, tokens=tokens, cost_nanos=cost_nanos)
        for ticket in others:
            used = (tokens, cost_nanos) if ticket.calls else (0, 0)
            more = await self._counters.settle(ticket, tokens=used[0], cost_nanos=used[1])
            if ticket.calls:
                settled = Settled((*settled.charges, *more.charges), settled.spent_nanos or more.spent_nanos)
        return settled

    async def _count(self, call: Call, deployment: Deployment, text: str, known: Usage) -> Usage:
        counted = await self._estimate(call.upstream_body, text, deployment.model, call.operation)
        if not known.input_tokens:
            return counted
        return msgspec.structs.replace(known, output_tokens=counted.output_tokens, is_estimated=True)

    def _observe(self, call: Call, deployment: Deployment, usage: Usage, cost: int, error: TollwayError | None) -> None:
        total = time.perf_counter() - call.started
        counts = self._counts(call, deployment, error, usage.service_tier)
        self._metrics.record(
            counts,
            total_s=total,
            upstream_s=call.upstream_s if call.kept is None else None,
            first_token_s=call.first_token - call.started if call.first_token else None,
            overhead_s=max(0.0, total - call.waited_s),
            usage=usage,
            cost_nanos=cost,
            is_priced=deployment.price.is_known,
        )
        if call.cache_key and error is None:
            self._metrics.record_cache(counts, found=call.kept)
        if call.settled is None:
            return
        scope_of_key = call.principal.own
        if scope_of_key is not None and scope_of_key.budget_nanos is not None:
            self._metrics.record_key_budget(
                scope_of_key.id, KeyBudget(scope_of_key.label, scope_of_key.budget_nanos, call.settled.spent_nanos)
            )

    def _tell_crossed(self, scope: Scope) -> None:
        self._metrics.record_soft_budget(scope.kind)
        if self.crossed is not None:
            self.crossed(scope)
        logger.warning(
            "Soft budget reached: %s %s (%s), %s dollars",
            scope.kind,
            scope.id,
            scope.label,
            dollars_from_nanos(scope.soft_budget_nanos or 0),
        )

    def _counts(
        self, call: Call, deployment: Deployment, error: TollwayError | None, service_tier: ServiceTier
    ) -> CallCounts:
        if error is not None:
            return self._metrics.counts(_labels(call, deployment, error, service_tier))
        principal = call.principal
        of_key = (principal.key_hash, principal.key_alias, principal.user_id, principal.team_id)
        asked, group = call.asked_group, call.group
        of_model = (asked.name if asked else "", group.name if group else "", deployment.id, deployment.model)
        key = (call.path, service_tier, *of_model, *of_key)
        counts = self._successes.get(key)
        if counts is None:
            if len(self._successes) >= _LABELS_KEPT:
                self._successes.clear()
            counts = self._successes[key] = self._metrics.counts(_labels(call, deployment, None, service_tier))
        return counts

    def _record(
        self, call: Call, deployment: Deployment, usage: Usage, cost: int, response_id: str, error: TollwayError | None
    ) -> Record:
        principal, controls = call.principal, call.controls
        now_us = time.time_ns() // 1000
        return Record(
            record_id=call.record_id,
            kind="call",
            started_at=call.started_at_us,
            ended_at=now_us,
            first_token_at=call.started_at_us + int((call.first_token - call.started) * 1e6) if call.first_token else 0,
            call_id=call.call_id,
            response_id=response_id,
            call_type=CALL_TYPES[call.operation],
            route=call.path,
            is_success=error is None,
            is_stream=call.request.is_stream,
            key_hash=MASTER_KEY_ID if principal.is_admin else principal.key_hash,
            key_alias=principal.key_alias or "",
            user_id=principal.user_id or "",
            team_id=principal.team_id or "",
            organization_id=principal.organization_id or "",
            project_id=principal.project_id or "",
            end_user=call.end_user,
            model=deployment.model,
            model_group=call.group.name if call.group is not None else "",
            model_id=deployment.id,
            provider=deployment.provider,
            api_base=deployment.api_base,
            usage=usage,
            cost_nanos=cost,
            is_priced=deployment.price.is_known or call.kept is not None,
            tags=controls.tags,
            session_id=controls.session_id,
            trace_id=controls.trace_id,
            client_ip=call.client_ip,
            user_agent=call.headers.get(b"user-agent", b"").decode("latin-1")[:256],
            metadata=controls.metadata,
            status_code=200 if error is None else error.status,
            error_type="" if error is None else error.type,
            error_class=_error_class(error),
            error_message="" if error is None else error.message[:2_000],
            charges=call.settled.charges if call.settled is not None else (),
            cache_key=call.cache_key,
            is_cached=call.kept is not None,
            saved_nanos=call.kept.cost_nanos if call.kept is not None else 0,
            attempts=_attempts(call) if call.tried or call.passed_over else "",
            overhead_us=int((time.perf_counter() - call.started - call.waited_s) * 1e6),
        )


_encode = msgspec.json.Encoder().encode


def _attempts(call: Call) -> str:
    tried = [
        {
            "model_group": one.group,
            "model_id": one.deployment_id,
            "model": one.model_name,
            "status": one.status,
            "error_class": one.error_class,
            "seconds": round(one.seconds, 3),
        }
        for one in call.tried
    ]
    skipped = [
        {"model_group": one.group, "model_id": one.deployment_id, "model": one.model_name, "skipped": one.why}
        for one in call.passed_over
    ]
    return _encode([*tried, *skipped]).decode()


def _was_served(call: Call, text: str, error: TollwayError | None) -> bool:
    """Whether the provider has done work that it did not report.

    It has when it answered, when it was cut after saying something, and when the client left, or its session was
    stopped, after the request was sent. A vendor's refusal, or no answer at all, costs nothing.
    """
    if not call.sent or (is_background(call) and not call.is_translated):
        return False  # of the background, the usage is settled when the answer is asked for
    return error is None or bool(text) or call.stop is not None or error.status == CLIENT_GONE_STATUS


def _labels(
    call: Call, deployment: Deployment | None, error: TollwayError | None, service_tier: ServiceTier = ""
) -> CallLabels:
    principal, group, asked = call.principal, call.group, call.asked_group
    status = "200" if error is None else str(error.status)
    return CallLabels(
        route=call.path if call.path_model is None else "/openai/deployments",
        status_code=status,
        requested_model=asked.name if asked is not None else UNKNOWN,
        model_group=group.name if group is not None else UNKNOWN,
        model=deployment.model if deployment is not None else UNKNOWN,
        litellm_model_name=deployment.model_name if deployment is not None else UNKNOWN,
        model_id=deployment.id if deployment is not None else UNKNOWN,
        api_base=deployment.api_base if deployment is not None else UNKNOWN,
        api_provider=deployment.provider if deployment is not None else UNKNOWN,
        hashed_api_key=principal.key_hash or UNKNOWN,
        api_key_alias=principal.key_alias or UNKNOWN,
        team=principal.team_id or UNKNOWN,
        user=principal.user_id or UNKNOWN,
        org_id=principal.organization_id or UNKNOWN,
        service_tier=service_tier or UNKNOWN,
        exception_status=UNKNOWN if error is None else status,
        exception_class=UNKNOWN if error is None else _error_class(error),
    )


def _error_class(error: TollwayError | None) -> str:
    if error is None:
        return ""
    return error.error_class if isinstance(error, UpstreamError) else type(error).__name__
