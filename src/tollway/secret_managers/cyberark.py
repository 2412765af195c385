"""CyberArk Conjur, by the API key of a user or a host.

https://docs.cyberark.com/conjur-open-source/latest/en/content/developer/conjur_api_authenticate.htm and
…/conjur_api_retrieve_secret.htm (2026-11-26).
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from typing_extensions import override

from tollway.core.errors import Misconfigured
from tollway.providers.sign_in import secure_url
from tollway.secret_managers._kit import Answer, HttpManager, Request, needed

_NO = frozenset({"false", "no", "off", "0"})


class CyberArkConjur(HttpManager):
    """Variables by their id."""

    title = "CyberArk Conjur"
    check = "CYBERARK_API_BASE, CYBERARK_ACCOUNT, CYBERARK_USERNAME and what they may read"
    expected = "it needs UTF-8 text"

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._base = needed(environ, "CYBERARK_API_BASE", title=self.title)
        self._account = quote(environ.get("CYBERARK_ACCOUNT") or "default", safe="")
        self._user = quote(environ.get("CYBERARK_USERNAME") or "admin", safe="")
        key = environ.get("CYBERARK_API_KEY")
        if not key:
            raise Misconfigured(f"{self.title}: set CYBERARK_API_KEY (client certificates are not supported)")
        self._key = key
        self.verify = (environ.get("CYBERARK_SSL_VERIFY") or "").strip().lower() not in _NO

    @override
    async def sign_in(self) -> Mapping[str, str]:
        url = self._url(f"/authn/{self._account}/{self._user}/authenticate")
        answer = await self.send(Request(url=url, headers={"Content-Type": "text/plain"}, body=self._key.encode()))
        if answer.status != 200:
            raise self.refused(f"to {self._user}", answer)
        return {"Authorization": f'Token token="{b64encode(answer.body).decode()}"'}

    @override
    async def request(self, name: str, headers: Mapping[str, str]) -> Request:
        return Request(url=self._url(f"/secrets/{self._account}/variable/{quote(name, safe='')}"), headers=headers)

    @override
    def text(self, answer: Answer) -> str | None:
        try:
            return answer.body.decode()
        except UnicodeDecodeError:
            return None

    def _url(self, path: str) -> str:
        return secure_url(self._base, path, field="CYBERARK_API_BASE")


def open_manager(options: Mapping[str, Any], environ: Mapping[str, str]) -> CyberArkConjur:
    """All it needs is in the environment."""
    return CyberArkConjur(environ)
