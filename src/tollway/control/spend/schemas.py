"""Bodies of `/spend/*` and `/global/spend*`, under the wire contract's names."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from tollway.control.kit.body import Body


class CostQuestion(Body):
    """`POST /spend/calculate`: a request that was not sent, or an answer that came back."""

    model: str | None = None
    messages: list[Any] | None = None
    completion_response: dict[str, Any] | None = None


class Cost(BaseModel):
    """`POST /spend/calculate`: dollars."""

    cost: float


class GlobalSpend(BaseModel):
    """`GET /global/spend`: dollars; a `max_budget` of 0 is none."""

    spend: float
    max_budget: float


class KeyTotal(BaseModel):
    """An entry of `GET /global/spend/keys`."""

    api_key: str
    key_alias: str | None
    key_name: str | None
    total_spend: float


class ModelTotal(BaseModel):
    """An entry of `GET /global/spend/models`."""

    model: str
    total_spend: float
