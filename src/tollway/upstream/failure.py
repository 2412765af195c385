"""What can go wrong on the way to a provider, in the words and statuses of the wire contract.

A timeout is 408, everything else 500. Messages name the host, never a credential, a path or a query.
"""

from __future__ import annotations

import socket
import ssl

from tollway.core.errors import UpstreamError
from tollway.core.snapshot import Origin

DEFAULT_PORTS = {"http": 80, "https": 443}


def authority(origin: Origin) -> str:
    """`host`, or `host:port` where the port is not the scheme's own, as a `Host` header and a message want it."""
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    return host if origin.port == DEFAULT_PORTS[origin.scheme] else f"{host}:{origin.port}"


def unreachable(server: str, cause: BaseException | str) -> UpstreamError:
    """No connection: refused, unknown host, bad certificate."""
    return _failed(f"No connection to {server}: {cause if isinstance(cause, str) else _reason(cause)}.")


def no_answer(server: str, cause: BaseException | None = None) -> UpstreamError:
    """The connection ended before a complete head had arrived."""
    detail = f": {_reason(cause)}" if cause is not None else ""
    return _failed(f"{server} closed the connection without an answer{detail}.")


def cut(server: str, status: int) -> UpstreamError:
    """The body ended before its proper end."""
    return _failed(f"The answer of {server} was cut before its end.", error_class="InternalServerError", status=status)


def malformed(server: str, detail: str, status: int = 0) -> UpstreamError:
    """Not HTTP, or HTTP that could be read in two ways."""
    message = f"{server} sent a malformed answer: {detail}."
    return _failed(message, error_class="InternalServerError", status=status)


def too_large(server: str, max_bytes: int, status: int) -> UpstreamError:
    """More bytes than the gateway is allowed to hold. Asking again would not help."""
    return UpstreamError(
        f"The answer of {server} is larger than {max_bytes:,} bytes.",
        type="internal_server_error",
        error_class="InternalServerError",
        upstream_status=status,
    )


def closed(server: str) -> UpstreamError:
    """The gateway itself closed the connection."""
    return _failed(f"The connection to {server} was closed by the gateway.")


def timed_out(server: str, what: str, seconds: float, *, status: int = 0) -> UpstreamError:
    """`what` did not happen within `seconds`: `connecting`, `waiting for the first byte`."""
    return UpstreamError(
        f"Request timed out: {what} took longer than {seconds:g} s ({server}).",
        status=408,
        type="invalid_request_error",
        error_class="Timeout",
        is_retryable=True,
        upstream_status=status,
    )


def _failed(message: str, *, error_class: str = "APIConnectionError", status: int = 0) -> UpstreamError:
    return UpstreamError(
        message,
        type="internal_server_error",
        error_class=error_class,
        is_retryable=True,
        upstream_status=status,
    )


def _reason(cause: BaseException) -> str:
    match cause:
        case ssl.SSLCertVerificationError():
            return f"its certificate was not accepted ({cause.verify_message})"
        case ssl.SSLError():
            return f"TLS failed ({cause.reason or type(cause).__name__})"
        case socket.gaierror():
            return "its name cannot be resolved"
        case ConnectionRefusedError():
            return "connection refused"
        case ConnectionResetError():
            return "connection reset"
        case OSError() if cause.strerror:
            return cause.strerror.lower()
        case _:
            return "the network failed" if isinstance(cause, OSError) else type(cause).__name__
