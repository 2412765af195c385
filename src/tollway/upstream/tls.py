"""TLS settings of outgoing connections."""

from __future__ import annotations

import ssl
from pathlib import Path

from tollway.core.errors import Misconfigured


class TlsContexts:
    """One context per `verify` setting: loading certificate authorities takes milliseconds."""

    def __init__(self, certificate: str | None = None) -> None:
        """`certificate`: file (PEM) of the chain and the key that we show where a server asks who we are."""
        self._certificate = certificate
        self._contexts: dict[bool | str, ssl.SSLContext] = {}

    def get(self, verify: bool | str) -> ssl.SSLContext:
        """The context for `Origin.verify`. Raises `Misconfigured` if its bundle or our certificate cannot be read."""
        context = self._contexts.get(verify)
        if context is None:
            context = _make_context(verify)
            if self._certificate is not None:
                _show(context, self._certificate)
            self._contexts[verify] = context
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


def _show(context: ssl.SSLContext, certificate: str) -> None:
    try:
        context.load_cert_chain(certificate)
    except OSError as error:
        reason = error.strerror or "it does not hold a certificate and its key"
        raise Misconfigured(f"The file {certificate!r} of `ssl_certificate` cannot be used: {reason}.") from None
