"""Posting a form where credentials are given out: rare, small, and through the machine's proxy."""

from __future__ import annotations

from collections.abc import Mapping

from tollway.core.errors import Misconfigured, UpstreamError
from tollway.providers._address import authority, locate

FETCH_TIMEOUT_S = 10.0
_LONGEST_ANSWER = 1 << 20


def secure_url(base: str, path: str, *, field: str) -> str:
    """`path` below `base`, which must be encrypted or on this machine. Raises `Misconfigured` naming the `field`."""
    whole = base if "://" in base else f"https://{base}"
    where = locate(whole, path, field=field)
    if where.origin.scheme != "https" and where.origin.host not in ("127.0.0.1", "::1", "localhost"):
        name = field.partition(" ")[0]
        raise Misconfigured(f"{name} must be https; a secret is sent there", param=name)
    return f"{where.origin.scheme}://{authority(where.origin)}{where.target}"


def post_form(
    url: str,
    form: bytes,
    *,
    service: str,
    check: str,
    verify: bool | str,
    headers: Mapping[str, str] | None = None,
) -> tuple[int, bytes]:
    """Status and body of an answer. Blocking: it is for a thread.

    Raises `UpstreamError` saying that `service` cannot be reached, and what to `check` besides the network.
    """
    # 30 ms of imports that only those who sign in need.
    import ssl  # noqa: PLC0415
    from http.client import HTTPException  # noqa: PLC0415
    from urllib.error import HTTPError  # noqa: PLC0415
    from urllib.request import Request, urlopen  # noqa: PLC0415

    try:
        context = ssl.create_default_context(cafile=verify if isinstance(verify, str) else None)
    except OSError as fault:
        raise Misconfigured(f"ssl_verify: {verify} is no readable CA bundle", param="ssl_verify") from fault
    if verify is False:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    request = Request(url, data=form, headers=dict(headers or {}), method="POST")  # noqa: S310 - see secure_url
    try:
        with urlopen(request, timeout=FETCH_TIMEOUT_S, context=context) as answer:  # noqa: S310
            return answer.status, answer.read(_LONGEST_ANSWER)
    except HTTPError as refusal:
        with refusal:
            return refusal.code, refusal.read(_LONGEST_ANSWER)
    except (OSError, HTTPException) as fault:
        raise UpstreamError(
            f"{service} cannot be reached ({type(fault).__name__}); check the network and {check}",
            is_retryable=True,
        ) from None
