"""Azure Key Vault, by a service principal.

https://learn.microsoft.com/rest/api/keyvault/secrets/get-secret/get-secret (2026-11-26).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from typing_extensions import override

from tollway.core.errors import Misconfigured
from tollway.providers.sign_in import ConnectionParams, client_credentials, secure_url
from tollway.secret_managers._kit import Answer, HttpManager, Request, needed

_SCOPE = "https://vault.azure.net/.default"
_VERSION = "7.4"


class AzureKeyVault(HttpManager):
    """Secrets by name; names there have hyphens where variables have underscores."""

    title = "Azure Key Vault"
    check = "AZURE_KEY_VAULT_URI and that the application has the role Key Vault Secrets User"
    expected = "it needs a value"

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._base = needed(environ, "AZURE_KEY_VAULT_URI", title=self.title)
        params = ConnectionParams(model="secrets", extra={"azure_scope": _SCOPE}, environ=environ)
        client = client_credentials(params, provider=self.title)
        if client is None:
            raise Misconfigured(f"{self.title}: set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET")
        self._client = client

    @override
    async def sign_in(self) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {(await self._client.fetch()).value}"}

    @override
    async def request(self, name: str, headers: Mapping[str, str]) -> Request:
        path = f"/secrets/{quote(name.replace('_', '-'), safe='')}"
        url = secure_url(self._base, path, field="AZURE_KEY_VAULT_URI")
        return Request(url=f"{url}?api-version={_VERSION}", headers=headers)

    @override
    def text(self, answer: Answer) -> str | None:
        found = answer.field("value")
        return found if isinstance(found, str) else None


def open_manager(options: Mapping[str, Any], environ: Mapping[str, str]) -> AzureKeyVault:
    """All it needs is in the environment."""
    return AzureKeyVault(environ)
