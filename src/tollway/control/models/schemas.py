"""Bodies of `/model/*`, as existing clients send and read them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from tollway.control.kit.body import Body, example
from tollway.control.kit.wire import WireModel

_Params = Annotated[
    dict[str, Any],
    Field(
        description="What to call, and how: `model` (`provider/name`), `api_key`, `api_base`, … as in `config.yaml`.",
        examples=[{"model": "openai/gpt-4o", "api_key": "os.environ/OPENAI_API_KEY"}],
    ),
]
_Info = Annotated[
    dict[str, Any],
    Field(
        description="What is known about it: `id`, `mode`, `base_model`, prices, `access_groups`; `team_id` keeps it "
        "to one team.",
        examples=[{"id": "my-gpt-4o", "access_groups": ["beta"]}],
    ),
]


class ModelNew(Body):
    """A model to add."""

    model_config = example(
        model_name="gpt-4-turbo",
        litellm_params={"model": "openai/gpt-4-turbo", "api_key": "os.environ/OPENAI_API_KEY"},
        model_info={"id": "gpt-4-turbo-1", "access_groups": ["beta"]},
    )

    model_name: Annotated[str, Field(min_length=1, max_length=512, examples=["gpt-4-turbo"])]
    """What callers say. Models of one name share its calls."""
    litellm_params: _Params
    model_info: _Info | None = None


class ModelChange(Body):
    """What to change: fields that are left out stay, null clears one."""

    model_name: Annotated[str | None, Field(min_length=1, max_length=512)] = None
    litellm_params: _Params | None = None
    model_info: _Info | None = None


class ModelDelete(Body):
    """A model to remove."""

    id: str


class ModelBlock(Body):
    """A model that is to be used no more, or again."""

    model_id: str


class ModelRow(WireModel):
    """A model of the database. Secrets are masked."""

    model_id: str
    model_name: str
    litellm_params: dict[str, Any]
    model_info: dict[str, Any]
    blocked: bool
    created_at: datetime
    created_by: str | None
    updated_at: datetime
    updated_by: str | None


class Deleted(WireModel):
    """What was done."""

    message: str


class Models(WireModel):
    """A list of models or of model groups."""

    data: list[dict[str, Any]]


class ModelPage(Models):
    """One page of it."""

    total_count: int
    current_page: int
    total_pages: int
    size: int
