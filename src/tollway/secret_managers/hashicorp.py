"""HashiCorp Vault: version 2 of its key-value engine, by a token or an AppRole.

https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2#read-secret-version and
https://developer.hashicorp.com/vault/api-docs/auth/approle#login-with-approle (2026-11-26).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import msgspec
from typing_extensions import override

from tollway.core.errors import Misconfigured
from tollway.providers.sign_in import secure_url
from tollway.secret_managers._kit import Answer, HttpManager, Request, needed

_FIELD = "key"
"""Of a secret, which is an object: where the contract has its text."""


class HashicorpVault(HttpManager):
    """Secrets below a mount and a prefix, each an object with the member `key`."""

    title = "HashiCorp Vault"
    check = "HCP_VAULT_ADDR, HCP_VAULT_NAMESPACE, HCP_VAULT_MOUNT_NAME and what the token may read"
    expected = f"it needs a member `{_FIELD}`"

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._base = needed(environ, "HCP_VAULT_ADDR", "VAULT_ADDR", title=self.title).rstrip("/")
        self._token = environ.get("HCP_VAULT_TOKEN") or environ.get("VAULT_TOKEN")
        self._role = environ.get("HCP_VAULT_APPROLE_ROLE_ID"), environ.get("HCP_VAULT_APPROLE_SECRET_ID")
        self._role_mount = environ.get("HCP_VAULT_APPROLE_MOUNT_PATH") or "approle"
        self._namespace = environ.get("HCP_VAULT_NAMESPACE") or environ.get("VAULT_NAMESPACE")
        mount = (environ.get("HCP_VAULT_MOUNT_NAME") or "secret").strip("/")
        prefix = (environ.get("HCP_VAULT_PATH_PREFIX") or "").strip("/")
        self._folder = f"{mount}/data/{prefix}".rstrip("/")
        if not all(self._role) and not self._token:
            raise Misconfigured(
                f"{self.title}: nobody says who asks; set HCP_VAULT_TOKEN, or HCP_VAULT_APPROLE_ROLE_ID and "
                "HCP_VAULT_APPROLE_SECRET_ID (client certificates are not supported)"
            )

    @override
    async def sign_in(self) -> Mapping[str, str]:
        spaces = {"X-Vault-Namespace": self._namespace} if self._namespace else {}
        if not all(self._role):
            return {**spaces, "X-Vault-Token": self._token or ""}
        role_id, secret_id = self._role
        login = Request(
            url=self._url(f"auth/{self._role_mount.strip('/')}/login"),
            headers={**spaces, "Content-Type": "application/json"},
            body=msgspec.json.encode({"role_id": role_id, "secret_id": secret_id}),
        )
        answer = await self.send(login)
        token = answer.field("auth", "client_token")
        if not isinstance(token, str):
            raise self.refused("to the AppRole", answer)
        return {**spaces, "X-Vault-Token": token}

    @override
    async def request(self, name: str, headers: Mapping[str, str]) -> Request:
        return Request(url=self._url(f"{self._folder}/{quote(name)}"), headers=headers)

    @override
    def text(self, answer: Answer) -> str | None:
        found = answer.field("data", "data", _FIELD)
        return found if isinstance(found, str) else None

    def _url(self, path: str) -> str:
        return secure_url(self._base, f"/v1/{path}", field="HCP_VAULT_ADDR")


def open_manager(options: Mapping[str, Any], environ: Mapping[str, str]) -> HashicorpVault:
    """All it needs is in the environment."""
    return HashicorpVault(environ)
