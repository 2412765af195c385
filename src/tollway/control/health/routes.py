"""`/health/…`: parse, ask the service, shape the answer."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends, Query, Response

from tollway.control.health.schemas import (
    Backlog,
    CheckHistory,
    ConnectionTest,
    HealthCheck,
    LatestChecks,
    License,
    Limits,
    ServiceTried,
    SharedStatus,
    Status,
    Tested,
)
from tollway.control.health.service import HealthService
from tollway.control.kit.body import warn
from tollway.control.kit.context import ContextDep
from tollway.control.kit.guard import DetailRoute, resource_router
from tollway.control.services import ServicesDep
from tollway.core.health import Checked

router = resource_router("health", route_class=DetailRoute)


async def _health_service(context: ContextDep) -> HealthService:
    return HealthService(context)


Health = Annotated[HealthService, Depends(_health_service)]


@router.get("/health/latest")
async def show_latest_checks(health: Health) -> LatestChecks:
    """The newest probe of each deployment."""
    found = {one.model_id: _shown(one) for one in await health.latest()}
    return LatestChecks(latest_health_checks=found, total_models=len(found))


@router.get("/health/history")
async def list_checks(
    health: Health,
    model: str | None = None,
    status_filter: Status | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    offset: Annotated[int, Query(ge=0, le=1_000_000_000)] = 0,
) -> CheckHistory:
    """Probes, newest first."""
    is_healthy = None if status_filter is None else status_filter == "healthy"
    found, total = await health.page(model, is_healthy=is_healthy, limit=limit, offset=offset)
    return CheckHistory(health_checks=[_shown(one) for one in found], total_records=total, limit=limit, offset=offset)


@router.get("/health/shared-status")
async def show_shared_status(services: ServicesDep) -> SharedStatus:
    """Whether one gateway probes for all."""
    settings = services.settings
    return SharedStatus(
        shared_health_check_enabled=settings.shares_probes,
        background_health_checks=settings.probes_in_background,
        health_check_interval=settings.probe_interval_s,
    )


@router.get("/health/backlog")
async def show_backlog(services: ServicesDep) -> Backlog:
    """Calls that the process which answers is busy with."""
    gate = services.gate
    return Backlog(
        in_flight_requests=gate.inside,
        admitted_requests=gate.admitted,
        queued_requests=gate.waiting,
        rejected_requests=gate.turned_away,
    )


@router.get("/health/services")
async def try_service(health: Health, service: Annotated[str, Query(max_length=100)]) -> ServiceTried:
    """Send a test event to a callback, or a test message to where alerts go."""
    name = await health.try_service(service)
    return ServiceTried(status="success", message=f"A test event was sent to {name}, and was taken.")


@router.get("/health/license")
async def show_license() -> License:
    """What may be used: everything, by everybody."""
    return License(
        has_license=True,
        license_type="open source",
        expiration_date=None,
        allowed_features=["*"],
        limits=Limits(max_users=None, max_teams=None),
    )


@router.post("/health/test_connection")
async def test_connection(body: ConnectionTest, response: Response, health: Health) -> Tested:
    """Ask a deployment for a few tokens before it is added. It is called once; the master key pays."""
    checked = await health.test(body)
    warn(response, body)
    result = {"model": body.litellm_params.get("model"), "response_time_ms": checked.response_ms}
    if checked.is_healthy:
        return Tested(status="success", result=result)
    error = {"error": checked.error_message, "error_class": checked.error_class, "status_code": checked.status_code}
    return Tested(status="error", result={**result, **error})


def _shown(one: Checked) -> HealthCheck:
    at = datetime.fromtimestamp(one.checked_at / 1e6, UTC)
    return HealthCheck(
        health_check_id=one.health_check_id,
        model_name=one.model_name,
        model_id=one.model_id,
        status="healthy" if one.is_healthy else "unhealthy",
        healthy_count=int(one.is_healthy),
        unhealthy_count=int(not one.is_healthy),
        error_message=one.error_message or None,
        response_time_ms=one.response_ms,
        details=None if one.is_healthy else {"error_class": one.error_class, "status_code": one.status_code},
        checked_by=one.checked_by,
        checked_at=at,
        created_at=at,
    )
