"""Google Secret Manager. Who asks is found as for Vertex AI.

https://cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets.versions/access (2026-11-26).
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from typing_extensions import override

from tollway.providers.sign_in import google_credentials, secure_url
from tollway.secret_managers._kit import Answer, HttpManager, Request, needed

_BASE = "https://secretmanager.googleapis.com"
_ENDPOINT = "GOOGLE_SECRET_MANAGER_ENDPOINT"


class GoogleSecretManager(HttpManager):
    """The newest version of secrets by name."""

    title = "Google Secret Manager"
    check = "GOOGLE_SECRET_MANAGER_PROJECT_ID and that the account has the role Secret Manager Secret Accessor"
    expected = "it needs UTF-8 text"

    def __init__(self, environ: Mapping[str, str]) -> None:
        project = needed(environ, "GOOGLE_SECRET_MANAGER_PROJECT_ID", title=self.title)
        self._credentials = google_credentials(environ.get("GCS_PATH_SERVICE_ACCOUNT") or None, environ, self.verify)
        self._base = environ.get(_ENDPOINT) or _BASE
        self._folder = f"/v1/projects/{quote(project, safe='')}/secrets"

    @override
    async def sign_in(self) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {(await self._credentials.fetch()).value}"}

    @override
    async def request(self, name: str, headers: Mapping[str, str]) -> Request:
        path = f"{self._folder}/{quote(name, safe='')}/versions/latest:access"
        return Request(url=secure_url(self._base, path, field=_ENDPOINT), headers=headers)

    @override
    def text(self, answer: Answer) -> str | None:
        try:
            return b64decode(str(answer.field("payload", "data")), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            return None


def open_manager(options: Mapping[str, Any], environ: Mapping[str, str]) -> GoogleSecretManager:
    """All it needs is in the environment."""
    return GoogleSecretManager(environ)
