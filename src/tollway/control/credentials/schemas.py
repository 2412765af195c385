"""Bodies of `/credentials`, as existing clients send and read them."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from tollway.control.kit.body import Body
from tollway.control.kit.wire import WireModel

Values = Annotated[
    dict[str, Any],
    Field(
        description="Parameters of a connection, as under `litellm_params`.",
        examples=[{"api_key": "os.environ/OPENAI_API_KEY"}],
    ),
]


class CredentialNew(Body):
    """A credential to add, from values or from a model that has them."""

    credential_name: Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[^/]+$", examples=["openai-prod"])]
    """What `litellm_credential_name` of models says."""
    credential_info: dict[str, Any] = {}
    """What is known about it; shown as it is."""
    credential_values: Values | None = None
    model_id: str | None = None
    """Take the values of this model instead."""
    display_name: Annotated[str | None, Field(max_length=255)] = None


class CredentialChange(Body):
    """What to change: values that are left out stay, null clears one."""

    credential_name: str | None = None
    """Cannot be changed."""
    credential_info: dict[str, Any] | None = None
    credential_values: Values | None = None
    credential_values_to_delete: list[str] = []
    """Names of values to remove."""
    display_name: Annotated[str | None, Field(max_length=255)] = None


class CredentialItem(WireModel):
    """A credential. Secrets are masked."""

    credential_name: str
    display_name: str | None
    credential_info: dict[str, Any]
    credential_values: dict[str, Any]


class CredentialList(WireModel):
    """Every credential."""

    success: bool = True
    credentials: list[CredentialItem]


class Done(WireModel):
    """What was done."""

    success: bool = True
    message: str
