"""TLS settings of outgoing connections."""

from __future__ import annotations

import ssl
from pathlib import Path

from tollway.core.errors import Misconfigured


class TlsContexts:
    """One context per `verify` setting: loading certificate authorities takes milliseconds."""

    def __init__(self) -> None:
        self._contexts: dict[bool | str, ssl.SSLContext] = {}

    def get(self, verify: bool | str) -> ssl.SSLContext:
        """The context for `Origin.verify`. Raises `Misconfigured` when its CA bundle cannot be read."""
        context = self._contexts.get(verify)
        if context is None:
            context = self._contexts[verify] = _make_context(verify)
        return context


def _make_context(verify: bool | str) -> ssl.SSLContext:
    context = _trusting(verify) if isinstance(verify, str) else ssl.create_default_context()
    if verify is False:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["http/1.1"])
    return context


def _trusting(bundle: str) -> ssl.SSLContext:
    try:
        if Path(bundle).is_dir():
            return ssl.create_default_context(capath=bundle)
        return ssl.create_default_context(cafile=bundle)
    except OSError as error:  # SSLError is one, too
        reason = error.strerror or "it holds no certificates"
        raise Misconfigured(f"The CA bundle {bundle!r} of `ssl_verify` cannot be used: {reason}.") from None
