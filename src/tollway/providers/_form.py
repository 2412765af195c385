"""Asking where credentials are given out: rarely, for little, and through the machine's proxy if there is one."""

from __future__ import annotations

from collections.abc import Mapping

from tollway.core.errors import Misconfigured, UpstreamError
from tollway.providers._address import authority, locate

FETCH_TIMEOUT_S = 10.0
_LONGEST_ANSWER = 1 << 20
_HERE = frozenset({"127.0.0.1", "::1", "localhost"})


def secure_url(base: str, path: str, *, field: str, local: frozenset[str] = frozenset()) -> str:
    """`path` below `base`, which must be encrypted or on this machine. Raises `Misconfigured` naming the `field`.

    `local`: more addresses that no network lies before.
    """
    whole = base if "://" in base else f"https://{base}"
    where = locate(whole, path, field=field)
    if where.origin.scheme != "https" and where.origin.host not in _HERE | local:
        name = field.partition(" ")[0]
        raise Misconfigured(f"{name} must be https; a secret is sent there", param=name)
    return f"{where.origin.scheme}://{authority(where.origin)}{where.target}"


def ask(
    url: str,
    form: bytes | None,
    *,
    service: str,
    check: str,
    verify: bool | str,
    headers: Mapping[str, str] | None = None,
    is_local: bool = False,
    method: str | None = None,
    timeout_s: float = FETCH_TIMEOUT_S,
) -> tuple[int, bytes]:
    """Status and body of the answer to a form; None: nothing is posted. Blocking: it is for a thread.

    `is_local`: no proxy leads there. `method`: POST for a form and GET for none, unless it says otherwise.

    Raises `UpstreamError` saying that `service` cannot be reached, and what to `check` besides the network.
    """
    # 30 ms of imports that only those who sign in need.
    import ssl  # noqa: PLC0415
    from http.client import HTTPException  # noqa: PLC0415
    from urllib.error import HTTPError  # noqa: PLC0415
    from urllib.request import HTTPSHandler, ProxyHandler, Request, build_opener  # noqa: PLC0415

    try:
        context = ssl.create_default_context(cafile=verify if isinstance(verify, str) else None)
    except OSError as fault:
        raise Misconfigured(f"ssl_verify: {verify} is no readable CA bundle", param="ssl_verify") from fault
    if verify is False:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    opener = build_opener(HTTPSHandler(context=context), *([ProxyHandler({})] if is_local else []))
    request = Request(url, data=form, headers=dict(headers or {}), method=method)  # noqa: S310 - http(s) only, see secure_url
    try:
        with opener.open(request, timeout=timeout_s) as answer:
            return answer.status, answer.read(_LONGEST_ANSWER)
    except HTTPError as refusal:
        with refusal:
            return refusal.code, refusal.read(_LONGEST_ANSWER)
    except (OSError, HTTPException) as fault:
        raise UpstreamError(
            f"{service} cannot be reached ({type(fault).__name__}); check the network and {check}",
            is_retryable=True,
        ) from None
