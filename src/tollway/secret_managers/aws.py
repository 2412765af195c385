"""AWS Secrets Manager. Who asks is found as for Bedrock.

https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html (2026-11-26).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import msgspec
from typing_extensions import override

from tollway.core.errors import Misconfigured
from tollway.providers.sign_in import (
    ConnectionParams,
    domain,
    key_source,
    option,
    region_of_profile,
    secure_url,
    sign,
)
from tollway.secret_managers._kit import Answer, HttpManager, Request

_ENDPOINT = ("AWS_ENDPOINT_URL_SECRETS_MANAGER", "AWS_ENDPOINT_URL")
_JSON = "application/x-amz-json-1.1"


class AwsSecretsManager(HttpManager):
    """Secrets by name, or the members of one that is a JSON object."""

    title = "AWS Secrets Manager"
    check = "the region, the keys, and that they may call secretsmanager:GetSecretValue"
    expected = "it needs a SecretString"

    def __init__(self, options: Mapping[str, Any], environ: Mapping[str, str]) -> None:
        params = ConnectionParams(model="secrets", extra=options, environ=environ)
        region = option(params, "aws_region_name") or region_of_profile(params)
        if region is None:
            raise Misconfigured(
                f"{self.title}: set AWS_REGION, or aws_region_name in key_management_settings",
                param="key_management_settings",
            )
        keys = key_source(params, region)
        if keys is None:
            raise Misconfigured(
                f"{self.title}: nobody says who asks; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give a role",
                param="key_management_settings",
            )
        base = next((environ[name] for name in _ENDPOINT if environ.get(name)), None)
        self._url = secure_url(base or f"https://secretsmanager.{region}.{domain(region)}", "/", field=_ENDPOINT[0])
        self._region = region
        self._keys = keys
        self._primary: str | None = options.get("primary_secret_name")

    @override
    async def read(self, names: Sequence[str]) -> Mapping[str, str]:
        if self._primary is None:
            return await super().read(names)
        whole = (await super().read([self._primary])).get(self._primary)
        if whole is None:
            raise Misconfigured(f"{self.title}: there is no secret {self._primary}; check primary_secret_name")
        members = Answer(200, whole.encode())
        return {name: str(text) for name in names if (text := members.field(name)) is not None}

    @override
    async def request(self, name: str, headers: Mapping[str, str]) -> Request:
        body = msgspec.json.encode({"SecretId": name})
        signed = {"Content-Type": _JSON, "X-Amz-Target": "secretsmanager.GetSecretValue"}
        parts = urlsplit(self._url)
        added = sign(
            await self._keys(),
            host=parts.netloc,
            target=parts.path,
            headers=signed,
            body=body,
            region=self._region,
            service="secretsmanager",
            now=datetime.now(UTC),
        )
        return Request(url=self._url, headers={**signed, **dict(added)}, body=body)

    @override
    def is_absent(self, answer: Answer) -> bool:
        return answer.status != 200 and str(answer.field("__type")).endswith("ResourceNotFoundException")

    @override
    def text(self, answer: Answer) -> str | None:
        found = answer.field("SecretString")
        return found if isinstance(found, str) else None


open_manager = AwsSecretsManager
