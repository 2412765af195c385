"""Bodies of the spend views, under the wire contract's names."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from tollway.control.kit.body import Body, Name
from tollway.control.kit.wire import WireModel

Tokens = Annotated[int, Field(ge=0, le=10**12)]


class CostQuestion(Body):
    """`POST /spend/calculate`: a request that was not sent, or an answer that came back."""

    model: str | None = None
    messages: list[Any] | None = None
    completion_response: dict[str, Any] | None = None


class Cost(WireModel):
    """`POST /spend/calculate`: dollars."""

    cost: float


class EstimateQuestion(Body):
    """`POST /cost/estimate`: the size of a call; tokens of the prompt include those that a cache serves.

    `service_tier`: `flex`, `priority`; else the standard one.
    """

    model: str
    input_tokens: Tokens = 0
    output_tokens: Tokens = 0
    cache_read_input_tokens: Tokens = 0
    cache_creation_input_tokens: Tokens = 0
    reasoning_tokens: Tokens = 0
    service_tier: Name = None
    num_requests_per_day: Tokens | None = None
    num_requests_per_month: Tokens | None = None


class CostEstimate(WireModel):
    """`POST /cost/estimate`: dollars."""

    model: str
    provider: str | None
    input_tokens: int
    output_tokens: int
    num_requests_per_day: int | None
    num_requests_per_month: int | None
    cost_per_request: float
    input_cost_per_request: float
    output_cost_per_request: float
    margin_cost_per_request: float
    daily_cost: float | None
    daily_input_cost: float | None
    daily_output_cost: float | None
    daily_margin_cost: float | None
    monthly_cost: float | None
    monthly_input_cost: float | None
    monthly_output_cost: float | None
    monthly_margin_cost: float | None
    input_cost_per_token: float
    output_cost_per_token: float


class EndUsersQuestion(Body):
    """`POST /global/spend/end_users`: of one key, or of all; without times the last 30 days."""

    api_key: Name = None
    startTime: Name = None  # noqa: N815 - the contract's name
    endTime: Name = None  # noqa: N815 - the contract's name


class EndUserTotal(WireModel):
    """An entry of `POST /global/spend/end_users`."""

    end_user: str
    total_count: int
    total_spend: float


class EndUsers(WireModel):
    """`GET /global/all_end_users`."""

    end_users: list[str]


class TagNames(WireModel):
    """`GET /global/spend/all_tag_names`."""

    tag_names: list[str]


class GlobalSpend(WireModel):
    """`GET /global/spend`: dollars; a `max_budget` of 0 is none."""

    spend: float
    max_budget: float


class KeyTotal(WireModel):
    """An entry of `GET /global/spend/keys`."""

    api_key: str
    key_alias: str | None
    key_name: str | None
    total_spend: float


class ModelTotal(WireModel):
    """An entry of `GET /global/spend/models`."""

    model: str
    total_spend: float


class ProviderTotal(WireModel):
    """An entry of `GET /global/spend/provider`."""

    provider: str
    spend: float


class TagTotal(WireModel):
    """An entry of `GET /spend/tags`."""

    individual_request_tag: str
    log_count: int
    total_spend: float


class TagSpend(TagTotal):
    """An entry of `GET /global/spend/tags`: the same under both names that clients know."""

    name: str
    spend: float


class Done(WireModel):
    """What was done, in words."""

    message: str
    status: str = "success"


class ProviderBudgets(WireModel):
    """`GET /provider/budgets`."""

    providers: dict[str, Any]


class RequestContent(WireModel):
    """`GET /spend/logs/ui/{request_id}`: empty, because prompts and answers are not stored."""

    messages: dict[str, Any] = {}
    response: dict[str, Any] = {}
    proxy_server_request: dict[str, Any] = {}
