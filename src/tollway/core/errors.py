"""Every error the gateway can answer with.

    TollwayError
    ├─ ClientError          the caller can fix it
    │  ├─ InvalidRequest · UnknownModel · PayloadTooLarge · NotFound · Conflict
    │  ├─ Unauthenticated · Forbidden
    │  └─ LimitExceeded · BudgetExceeded
    ├─ UpstreamError        the vendor said no, or nothing
    └─ GatewayFault         ours: StoreUnavailable · Overloaded · Misconfigured

Each class fixes the HTTP status and the `type` on the wire; each instance says what happened and what to do.
Rendering belongs to the dialects (inference) and to `control.kit` (management). Secrets never enter a message.
"""

from __future__ import annotations

from collections.abc import Sequence

Header = tuple[bytes, bytes]


class TollwayError(Exception):
    """Base of all errors that reach a caller."""

    status = 500
    type = "internal_server_error"

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        type: str | None = None,
        status: int | None = None,
        headers: Sequence[Header] = (),
    ) -> None:
        """`param` names the offending field; `headers` are added to the response (`retry-after` and the like)."""
        super().__init__(message)
        self.message = message
        self.param = param
        self.headers = tuple(headers)
        if type is not None:
            self.type = type
        if status is not None:
            self.status = status


class ClientError(TollwayError):
    """The caller can fix this."""

    status = 400
    type = "invalid_request_error"


class InvalidRequest(ClientError):
    """Malformed body, a wrong type, a missing or contradictory field."""


class UnknownModel(ClientError):
    """No deployment serves the model that was asked for."""


class PayloadTooLarge(ClientError):
    """The body is above the configured size."""

    status = 413


class NotFound(ClientError):
    """The named thing does not exist, or the caller may not know that it does."""

    status = 404
    type = "not_found_error"


class Conflict(ClientError):
    """It exists already."""

    type = "bad_request_error"


class Unauthenticated(ClientError):
    """No key, a malformed, unknown, expired or blocked one."""

    status = 401
    type = "auth_error"
    reason = "malformed"
    """For counting: `missing`, `malformed`, `unknown`, `expired`, `blocked`."""


class Forbidden(ClientError):
    """The key is good; this is not allowed to it."""

    status = 403
    type = "auth_error"


class LimitExceeded(ClientError):
    """A rate or parallel limit refused the call; `retry-after` is among the headers."""

    status = 429
    type = "throttling_error"


class DeploymentFull(LimitExceeded):
    """A deployment has no room for the call; another of its group may have."""


class BudgetExceeded(ClientError):
    """Settled spend has reached a budget. The status is a setting (422 in the contract)."""

    status = 422
    type = "budget_exceeded"
    refused_by: tuple[str, str] = ("", "")
    """Kind and id of whose budget it is."""


class UpstreamError(TollwayError):
    """The vendor answered with an error, timed out, or could not be reached."""

    status = 500

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        type: str | None = None,
        param: str | None = None,
        headers: Sequence[Header] = (),
        is_retryable: bool = False,
        error_class: str = "APIConnectionError",
        upstream_status: int = 0,
    ) -> None:
        """`error_class` is the contract's exception name for metrics and records; `upstream_status` 0: no answer."""
        super().__init__(message, param=param, type=type, status=status, headers=headers)
        self.is_retryable = is_retryable
        self.error_class = error_class
        self.upstream_status = upstream_status


class GatewayFault(TollwayError):
    """Ours to fix."""


class StoreUnavailable(GatewayFault):
    """The database cannot be reached, and the answer depends on it. Never a 401."""

    status = 503
    type = "no_db_connection"


class Overloaded(GatewayFault):
    """Work is shed on purpose (disk full, ceiling reached); `retry-after` is among the headers."""

    status = 503
    type = "service_unavailable_error"


class Misconfigured(GatewayFault):
    """The configuration cannot serve this call."""
