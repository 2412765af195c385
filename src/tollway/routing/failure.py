"""What a failed attempt means for the call and for its deployment."""

from __future__ import annotations

import msgspec

from tollway.core.errors import InvalidRequest, LimitExceeded, TollwayError, UpstreamError
from tollway.core.routing import FailureSort

_SORTS: dict[str, FailureSort] = {
    "BadRequestError": "BadRequestError",
    "UnprocessableEntityError": "BadRequestError",
    "ContextWindowExceededError": "BadRequestError",
    "AuthenticationError": "AuthenticationError",
    "Timeout": "TimeoutError",
    "RateLimitError": "RateLimitError",
    "ContentPolicyViolationError": "ContentPolicyViolationError",
    "InternalServerError": "InternalServerError",
    "BadGatewayError": "InternalServerError",
    "APIConnectionError": "InternalServerError",
    "ServiceUnavailableError": "ServiceUnavailableError",
    "NotFoundError": "NotFoundError",
}
_OK = 200
_DENIED = frozenset({401, 402, 403})
_NO_TROUBLE = frozenset({400, 409, 413, 415, 422})
"""Statuses that say something of the request, and nothing of who answered."""
_LONGEST_SAID_S = 86_400.0


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """One failed attempt, or the lack of a deployment to attempt."""

    error_class: str
    status: int
    """The provider's where it gave one, else ours."""
    sort: FailureSort
    is_retryable: bool
    """The same may work a moment later."""
    is_denial: bool = False
    """This deployment does not take it, for who asks or for what: another may."""
    is_trouble: bool = False
    """It speaks against the deployment."""
    retry_after_s: float | None = None
    """What the provider said."""


def failure_of(error: TollwayError) -> Failure:
    """Reads an error."""
    if not isinstance(error, UpstreamError):
        name = "RateLimitError" if isinstance(error, LimitExceeded) else type(error).__name__
        return Failure(
            error_class=name,
            status=error.status,
            sort=_SORTS.get(name, "Default"),
            is_retryable=False,
            is_denial=isinstance(error, InvalidRequest),
            retry_after_s=_retry_after(error),
        )
    status = error.upstream_status if error.upstream_status >= 400 else error.status
    is_unusable = error.upstream_status == _OK and not error.is_retryable
    return Failure(
        error_class=error.error_class,
        status=status,
        sort=_SORTS.get(error.error_class, "Default"),
        is_retryable=error.is_retryable,
        is_denial=status in _DENIED or is_unusable,
        is_trouble=status not in _NO_TROUBLE,
        retry_after_s=_retry_after(error),
    )


def _retry_after(error: TollwayError) -> float | None:
    """Seconds of a `retry-after` header (RFC 9110 10.2.3); a date is left alone, as clocks differ."""
    for name, value in error.headers:
        if name == b"retry-after":
            try:
                seconds = float(value)
            except ValueError:
                return None
            return min(seconds, _LONGEST_SAID_S) if seconds >= 0 else None
    return None
