"""What `/public/*` answers, under the wire contract's names."""

from __future__ import annotations

from typing import Literal

from tollway.control.kit.wire import WireModel


class HubInfo(WireModel):
    """`GET /public/model_hub/info`."""

    docs_title: str = "Tollway"
    custom_docs_description: str | None = None
    litellm_version: str
    """Which gateway answers: Tollway's own version."""
    useful_links: dict[str, str] = {}


class CredentialField(WireModel):
    """One field of a form that asks how to connect to a provider."""

    key: str
    label: str
    placeholder: str | None = None
    tooltip: str | None = None
    required: bool = False
    field_type: Literal["text", "password"] = "text"
    options: list[str] | None = None
    default_value: str | None = None


class ProviderForm(WireModel):
    """An entry of `GET /public/providers/fields`."""

    provider: str
    provider_display_name: str
    litellm_provider: str
    credential_fields: list[CredentialField]
    default_model_placeholder: str
