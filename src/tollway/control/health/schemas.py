"""Bodies of `/health/…`, as existing clients send and read them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from tollway.control.kit.body import Body
from tollway.control.kit.wire import WireModel

Status = Literal["healthy", "unhealthy"]


class HealthCheck(WireModel):
    """One probe of one deployment."""

    health_check_id: str
    model_name: str
    model_id: str
    status: Status
    healthy_count: int
    unhealthy_count: int
    error_message: str | None
    response_time_ms: float
    details: dict[str, Any] | None
    checked_by: str
    """The process that made it."""
    checked_at: datetime
    created_at: datetime


class LatestChecks(WireModel):
    """The newest probe of each deployment."""

    latest_health_checks: dict[str, HealthCheck]
    """By id of the deployment."""
    total_models: int


class CheckHistory(WireModel):
    """One page of probes, newest first."""

    health_checks: list[HealthCheck]
    total_records: int
    limit: int
    offset: int


class SharedStatus(WireModel):
    """Who probes."""

    shared_health_check_enabled: bool
    background_health_checks: bool
    health_check_interval: float


class Backlog(WireModel):
    """What this process is busy with."""

    in_flight_requests: int
    admitted_requests: int
    queued_requests: int
    rejected_requests: int


class Limits(WireModel):
    """None: without a limit."""

    max_users: int | None
    max_teams: int | None


class License(WireModel):
    """What may be used: everything."""

    has_license: bool
    license_type: str
    expiration_date: str | None
    allowed_features: list[str]
    limits: Limits


class ConnectionTest(Body):
    """A deployment to try before it is added."""

    mode: str | None = None
    """What the model does: `chat`, `completion`, `embedding`, `responses`."""
    litellm_params: dict[str, Any] = Field(
        description="What to call, and how, as in `config.yaml`; without references to the environment."
    )
    model_info: dict[str, Any] | None = None


class Tested(WireModel):
    """What came of it."""

    status: Literal["success", "error"]
    result: dict[str, Any]


class ServiceTried(WireModel):
    """A test event arrived."""

    status: Literal["success"]
    message: str
