"""Google's access tokens: from a service account's key, a user's sign-in, a federated identity, or the machine itself.

Sources: https://developers.google.com/identity/protocols/oauth2/service-account,
https://google.aip.dev/auth/4117 (federation), https://cloud.google.com/compute/docs/access/authenticate-workloads.
"""

from __future__ import annotations

import asyncio
import re
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import msgspec
from typing_extensions import override

from tollway.core.errors import Misconfigured, UpstreamError
from tollway.providers._form import ask, secure_url
from tollway.providers._token import Token

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_TOKEN_URL = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address
_METADATA_HOST = "metadata.google.internal"
_METADATA_PATH = "/computeMetadata/v1/instance/service-accounts/default/token"
_METADATA_ADDRESSES = frozenset({"169.254.169.254"})
"""Of machines of other clouds: no network lies before it."""
_ASSERTION_S = 3600
_CHECK = "vertex_credentials"


class GoogleCredentials(msgspec.Struct, frozen=True, kw_only=True):
    """A file of credentials as Google hands it out, or the machine's own where there is none."""

    kind: str
    """`service_account`, `authorized_user`, `external_account`, or `metadata`."""
    fields: Mapping[str, Any] = {}
    verify: bool | str = True

    @override
    def __repr__(self) -> str:
        """Names the kind, not the secret."""
        return f"GoogleCredentials({self.kind!r})"

    @property
    def project(self) -> str | None:
        """The project that the file names."""
        found = self.fields.get("project_id") or self.fields.get("quota_project_id")
        return str(found) if found else None

    async def fetch(self) -> Token:
        """Asks for a token. Raises `UpstreamError`."""
        return await asyncio.to_thread(_FETCHERS[self.kind], self)


def google_credentials(
    given: str | None, environ: Mapping[str, str], verify: bool | str, *, may_use_machine: bool = True
) -> GoogleCredentials:
    """`given`: the file's text or its path; None: as the environment says, else the machine's own.

    Without `may_use_machine` nothing but a text that names no source of the machine's will do. Raises `Misconfigured`
    for a file that is not there or not one of Google's.
    """
    if not may_use_machine and (given is None or not given.lstrip().startswith("{")):
        raise _wrong("a team's model cannot use files and identities of the machine, and must have the key's JSON")
    source = given or environ.get("GOOGLE_APPLICATION_CREDENTIALS")
    if not source:
        host = environ.get("GCE_METADATA_HOST") or _METADATA_HOST
        return GoogleCredentials(kind="metadata", fields={"host": host}, verify=verify)
    fields = _read(source)
    kind = str(fields.get("type") or "")
    if kind not in _FETCHERS or kind == "metadata":
        known = ", ".join(name for name in _FETCHERS if name != "metadata")
        raise _wrong(f"its type is {kind or 'missing'!r}; known are {known}")
    missing = [name for name in _NEEDED[kind] if not fields.get(name)]
    if missing:
        raise _wrong(f"{', '.join(missing)} is missing in it")
    if kind == "external_account" and not may_use_machine:
        raise _wrong("a team's model cannot use files and identities of the machine, which a federated identity needs")
    return GoogleCredentials(kind=kind, fields=fields, verify=verify)


_NEEDED = {
    "service_account": ("client_email", "private_key"),
    "authorized_user": ("client_id", "client_secret", "refresh_token"),
    "external_account": ("audience", "subject_token_type", "token_url", "credential_source"),
}


def _read(source: str) -> dict[str, Any]:
    try:
        text = source if source.lstrip().startswith("{") else Path(source).expanduser().read_text("utf-8")
        fields = msgspec.json.decode(text)
    except OSError as fault:
        raise _wrong(f"the file cannot be read ({type(fault).__name__})") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise _wrong("it is no JSON") from None
    if not isinstance(fields, dict):
        raise _wrong("it is no JSON object")
    return fields


def _wrong(why: str) -> Misconfigured:
    return Misconfigured(
        f"vertex_credentials: {why}; give a service account's key, or its path", param="vertex_credentials"
    )


def _service_account(credentials: GoogleCredentials) -> Token:
    fields = credentials.fields
    url = secure_url(str(fields.get("token_uri") or _TOKEN_URL), "", field="vertex_credentials (token_uri)")
    form = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": _assertion(fields, url)}
    return _token(_post(url, form, credentials))


def _assertion(fields: Mapping[str, Any], audience: str) -> str:
    """A signed statement of who asks (RFC 7523), good for an hour."""
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415 - only for those who sign
    from cryptography.hazmat.primitives.asymmetric import padding  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415

    now = int(time.time())
    head = {"alg": "RS256", "typ": "JWT", "kid": fields.get("private_key_id") or ""}
    claims = {
        "iss": fields["client_email"],
        "scope": SCOPE,
        "aud": audience,
        "iat": now,
        "exp": now + _ASSERTION_S,
    }
    signed = ".".join(_base64(msgspec.json.encode(part)) for part in (head, claims))
    try:
        key = load_pem_private_key(str(fields["private_key"]).encode(), password=None)
    except ValueError:
        raise _wrong("its private_key cannot be read") from None
    if not isinstance(key, RSAPrivateKey):
        raise _wrong("its private_key is no RSA key")
    return f"{signed}.{_base64(key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


def _base64(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _authorized_user(credentials: GoogleCredentials) -> Token:
    fields = credentials.fields
    form = {name: str(fields[name]) for name in _NEEDED["authorized_user"]} | {"grant_type": "refresh_token"}
    url = secure_url(str(fields.get("token_uri") or _TOKEN_URL), "", field="vertex_credentials (token_uri)")
    return _token(_post(url, form, credentials))


def _external_account(credentials: GoogleCredentials) -> Token:
    """A token of another identity provider, from a file or an address, for one of Google's (RFC 8693)."""
    fields = credentials.fields
    form = {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "audience": str(fields["audience"]),
        "scope": SCOPE,
        "requested_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "subject_token_type": str(fields["subject_token_type"]),
        "subject_token": _subject_token(fields["credential_source"], credentials.verify),
    }
    token = _token(_post(secure_url(str(fields["token_url"]), "", field="vertex_credentials"), form, credentials))
    impersonated = fields.get("service_account_impersonation_url")
    return token if not impersonated else _impersonate(str(impersonated), token, credentials)


def _subject_token(source: Any, verify: bool | str) -> str:
    """Where it lies, as it stands there or as a field of JSON."""
    source = source if isinstance(source, dict) else {}
    if source.get("file"):
        text = _of_file(str(source["file"]))
    elif source.get("url") and not source.get("environment_id"):  # that one is Amazon's, and signed
        text = _of_url(str(source["url"]), source.get("headers"), verify)
    else:
        raise _wrong("its credential_source names neither a file nor a url, and no other source is supported")
    form = source.get("format")
    if isinstance(form, dict) and form.get("type") == "json":
        found = _decode(text.encode()).get(str(form.get("subject_token_field_name")))
        return str(found or "")
    return text


def _of_file(path: str) -> str:
    try:
        return Path(path).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise _wrong("the file that its credential_source names cannot be read") from None


def _of_url(url: str, headers: Any, verify: bool | str) -> str:
    """What the address gives, to whoever sends the headers; Azure's and others' metadata services are asked so."""
    given = headers if isinstance(headers, dict) else {}
    status, body = ask(
        secure_url(url, "", field="vertex_credentials (credential_source)", local=_METADATA_ADDRESSES),
        None,
        service="The address that vertex_credentials names in credential_source",
        check=_CHECK,
        verify=verify,
        headers={str(name): str(value) for name, value in given.items()},
        is_local=any(f"//{address}" in url for address in _METADATA_ADDRESSES),
    )
    if status != 200:
        raise _refused(f"the address of its credential_source answered HTTP {status}", status)
    return body.decode("utf-8", "replace").strip()


def _impersonate(url: str, token: Token, credentials: GoogleCredentials) -> Token:
    status, body = ask(
        secure_url(url, "", field="vertex_credentials (service_account_impersonation_url)"),
        msgspec.json.encode({"scope": [SCOPE]}),
        service="Google's IAM Credentials API",
        check=_CHECK,
        verify=credentials.verify,
        headers={"Authorization": f"Bearer {token.value}", "Content-Type": "application/json"},
    )
    answer = _decode(body)
    return _checked(status, answer, answer.get("accessToken"), token.expires_in_s)


def _metadata(credentials: GoogleCredentials) -> Token:
    host = str(credentials.fields["host"])
    status, body = ask(
        f"http://{host}{_METADATA_PATH}",
        None,
        service="Google's metadata server",
        check="vertex_credentials, which are needed outside of Google Cloud",
        verify=True,
        headers={"Metadata-Flavor": "Google"},
        is_local=True,
    )
    return _token((status, _decode(body)))


_FETCHERS: dict[str, Callable[[GoogleCredentials], Token]] = {
    "service_account": _service_account,
    "authorized_user": _authorized_user,
    "external_account": _external_account,
    "metadata": _metadata,
}


def _post(url: str, form: Mapping[str, str], credentials: GoogleCredentials) -> tuple[int, dict[str, Any]]:
    status, body = ask(
        url, urlencode(form).encode(), service="Google's token endpoint", check=_CHECK, verify=credentials.verify
    )
    return status, _decode(body)


def _token(answered: tuple[int, dict[str, Any]]) -> Token:
    status, answer = answered
    return _checked(status, answer, answer.get("access_token"), _seconds(answer.get("expires_in")))


def _seconds(lifetime: object) -> float:
    try:
        return max(0.0, float(str(lifetime)))
    except ValueError:
        return 0.0


def _checked(status: int, answer: dict[str, Any], token: object, expires_in_s: float) -> Token:
    """Names the endpoint's error code; its prose stays out, for it may repeat what was sent."""
    if status == 200 and isinstance(token, str) and re.fullmatch(r"[\x21-\x7e]+", token):
        return Token(token, expires_in_s)
    code = re.fullmatch(r"[a-z_]{1,40}", str(answer.get("error", "")))
    raise _refused(f"HTTP {status}: {code[0] if code else 'no usable answer'}", status)


def _refused(why: str, status: int) -> UpstreamError:
    is_ours = 400 <= status < 500
    return UpstreamError(
        f"Google gave no access token ({why}); check vertex_credentials and the roles of its account",
        status=401 if is_ours else 503,
        error_class="AuthenticationError" if is_ours else "ServiceUnavailableError",
        is_retryable=not is_ours,
        upstream_status=status,
    )


def _decode(body: bytes) -> dict[str, Any]:
    try:
        answer = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}
    return answer if isinstance(answer, dict) else {}
