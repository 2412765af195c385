"""Forms for connecting to a provider, from the table of providers."""

from __future__ import annotations

from collections.abc import Sequence

from tollway.control.public.schemas import CredentialField, ProviderForm
from tollway.providers import Provider, find, names

_MORE = {
    field.key: field
    for field in (
        CredentialField(key="api_version", label="API Version", placeholder="2024-10-21"),
        CredentialField(key="azure_ad_token", label="Azure AD Token", field_type="password"),
        CredentialField(
            key="tenant_id", label="Tenant ID", tooltip="With client_id and client_secret: Entra ID sign-in."
        ),
        CredentialField(key="client_id", label="Client ID"),
        CredentialField(key="client_secret", label="Client Secret", field_type="password"),
        CredentialField(key="aws_access_key_id", label="AWS Access Key ID", field_type="password"),
        CredentialField(key="aws_secret_access_key", label="AWS Secret Access Key", field_type="password"),
        CredentialField(key="aws_session_token", label="AWS Session Token", field_type="password"),
        CredentialField(key="aws_region_name", label="AWS Region Name", placeholder="us-east-1"),
        CredentialField(
            key="aws_role_name", label="AWS Role", tooltip="ARN of a role to take with the keys or the token."
        ),
        CredentialField(key="aws_session_name", label="AWS Session Name"),
        CredentialField(key="aws_external_id", label="AWS External ID"),
        CredentialField(key="aws_web_identity_token", label="AWS Web Identity Token", field_type="password"),
        CredentialField(key="aws_profile_name", label="AWS Profile Name"),
        CredentialField(key="aws_sts_endpoint", label="AWS STS Endpoint"),
        CredentialField(key="aws_bedrock_runtime_endpoint", label="AWS Bedrock Runtime Endpoint"),
        CredentialField(key="vertex_project", label="Vertex Project"),
        CredentialField(key="vertex_location", label="Vertex Location", placeholder="us-central1"),
        CredentialField(
            key="vertex_credentials",
            label="Vertex Credentials",
            field_type="password",
            tooltip="The JSON of a service account's key, or of a federated identity.",
        ),
    )
}
"""What some providers take besides a key and an address."""


def provider_forms() -> list[ProviderForm]:
    """A form for every provider, in order of name."""
    found = (find(name) for name in names())
    return [_form(provider) for provider in found if provider is not None]


def _form(provider: Provider) -> ProviderForm:
    more = [_MORE[name] for name in provider.more_params]
    key = CredentialField(
        key="api_key",
        label="API Key",
        field_type="password",
        tooltip=_instead(provider.key_env),
        required=provider.needs_key and not more,
    )
    base = CredentialField(
        key="api_base",
        label="API Base",
        placeholder=provider.base_url,
        tooltip=_instead(provider.base_env),
        required=provider.base_url is None,
    )
    return ProviderForm(
        provider=provider.name,
        provider_display_name=provider.title,
        litellm_provider=provider.name,
        credential_fields=[*([key] if provider.auth != "none" else []), base, *more],
        default_model_placeholder=f"{provider.name}/<model>",
    )


def _instead(variables: Sequence[str]) -> str | None:
    return f"Or set {' or '.join(variables)} in the gateway's environment." if variables else None
