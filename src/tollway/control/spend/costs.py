"""What calls cost before they are made: prices times tokens."""

from __future__ import annotations

from typing import Any

import msgspec

from tollway.accounting.pricing import cost_nanos, price_in
from tollway.accounting.tokens import count_chat_request, count_in_thread
from tollway.control.kit.context import Context
from tollway.control.spend.schemas import CostEstimate, CostQuestion, EstimateQuestion
from tollway.core.errors import InvalidRequest
from tollway.core.money import NANOS_PER_DOLLAR, dollars_from_nanos
from tollway.core.price import Price
from tollway.core.usage import Usage, service_tier_of
from tollway.dialects.openai.wire import read_usage
from tollway.routing.router import Router


async def calculate(context: Context, question: CostQuestion) -> int:
    """Nano-dollars a call would cost, or has cost. Raises `InvalidRequest` where nobody knows a price."""
    if question.completion_response is not None:
        answer = question.completion_response
        model = question.model or str(answer.get("model") or "")
        tier = answer.get("service_tier")
        named = {"service_tier": tier} if isinstance(tier, str) else {}
        usage = read_usage(msgspec.json.encode({"usage": answer.get("usage"), **named}))
    elif question.messages is not None:
        model = question.model or ""
        body = msgspec.json.encode({"messages": question.messages})
        usage = Usage(input_tokens=await count_in_thread(count_chat_request, body, model=model))
    else:
        raise InvalidRequest("Send 'model' and 'messages', or 'completion_response'.", type="bad_request_error")
    if not model:
        raise InvalidRequest("Missing required parameter: 'model'.", param="model", type="bad_request_error")
    return cost_nanos(_price(context, model)[1], usage)


def estimate(context: Context, question: EstimateQuestion) -> CostEstimate:
    """What calls of this size would cost, each, by day and by month. Raises `InvalidRequest` as `calculate` does."""
    provider, standard = _price(context, question.model)
    price = price_in(standard, service_tier_of(question.service_tier))
    usage = Usage(
        input_tokens=question.input_tokens,
        cache_read_tokens=question.cache_read_input_tokens,
        cache_write_tokens=question.cache_creation_input_tokens,
        output_tokens=question.output_tokens,
        reasoning_tokens=question.reasoning_tokens,
    )
    prompt = msgspec.structs.replace(usage, output_tokens=0, reasoning_tokens=0)
    total, prompt_nanos = cost_nanos(price, usage), cost_nanos(price, prompt)
    parts = {"": total, "input_": prompt_nanos, "output_": total - prompt_nanos, "margin_": 0}
    costs: dict[str, Any] = {f"{name}cost_per_request": dollars_from_nanos(nanos) for name, nanos in parts.items()}
    for period, calls in (("daily", question.num_requests_per_day), ("monthly", question.num_requests_per_month)):
        for name, nanos in parts.items():
            costs[f"{period}_{name}cost"] = None if calls is None else dollars_from_nanos(nanos * calls)
    return CostEstimate(
        model=question.model,
        provider=provider or None,
        input_tokens=question.input_tokens,
        output_tokens=question.output_tokens,
        num_requests_per_day=question.num_requests_per_day,
        num_requests_per_month=question.num_requests_per_month,
        input_cost_per_token=price.rates.input / price.denominator / NANOS_PER_DOLLAR,
        output_cost_per_token=price.rates.output / price.denominator / NANOS_PER_DOLLAR,
        **costs,
    )


def _price(context: Context, model: str) -> tuple[str, Price]:
    """Provider and price of what a call of the caller's would reach under this name."""
    services = context.services
    group = Router(services.snapshot()).group(model, context.actor.principal.team_id)
    prices = [(deployment.provider, deployment.price) for deployment in group.deployments] if group else []
    provider, slash, name = model.partition("/")
    if not slash:
        provider, name = services.prices.provider_of(model) or "", model
    if facts := services.prices.find(provider, name):
        prices.append((provider, facts.price))
    known = next((found for found in prices if found[1].is_known), None)
    if known is None:
        raise InvalidRequest(
            f"Nobody has said what model '{model[:100]}' costs. Set input_cost_per_token and "
            "output_cost_per_token in its litellm_params or model_info.",
            param="model",
            type="bad_request_error",
        )
    return known
