"""What probes have found, and probes of what is not served yet."""

from __future__ import annotations

from typing import Any

from tollway.callbacks.table import ALERT_CHANNELS, KINDS
from tollway.config.configuration import ModelEntry
from tollway.config.model_list import protect_params
from tollway.config.problem import ConfigurationError
from tollway.control.health.schemas import ConnectionTest
from tollway.control.kit.context import Context
from tollway.control.kit.stored import check_written
from tollway.core.errors import Forbidden, InvalidRequest, TollwayError
from tollway.core.health import Checked
from tollway.ports.health import CheckFilter
from tollway.stores.sql.health import SqlHealthStore

_NAME = "test_connection"
_SERVICES = frozenset(
    {
        *("slack_budget_alerts", "email", "ms_teams", "openmeter", "braintrust", "custom_callback_api", "langsmith"),
        *("datadog", "datadog_metrics", "datadog_llm_observability", "arize", "galileo", "newrelic", "pointfive"),
        *("signoz", "sqs"),
    }
)
"""More that the contract has."""
_ALIASES = {"slack_budget_alerts": "slack"}
_REFERENCE = "os.environ/"


class HealthService:
    """Probes, for one request."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._services = context.services
        self._store = SqlHealthStore(context.services.engine)

    async def latest(self) -> list[Checked]:
        """The newest probe of each deployment that is served."""
        served = self._services.snapshot().by_id
        return [one for one in await self._store.latest() if one.model_id in served]

    async def page(
        self, model: str | None, *, is_healthy: bool | None, limit: int, offset: int
    ) -> tuple[list[Checked], int]:
        """Probes, newest first, and how many there are."""
        return await self._store.page(CheckFilter(model_name=model, is_healthy=is_healthy), limit=limit, offset=offset)

    async def try_service(self, name: str) -> str:
        """Sends a test event; what it was sent to. Raises `TollwayError`: 400 for a service that there is none of,
        422 where it lacks something, 500 where it fails.
        """
        known = sorted({*KINDS, *ALERT_CHANNELS, *_SERVICES})
        service = _ALIASES.get(name, name)
        if service not in known:
            text = f"Unknown service {name[:100]!r}. Use one of: {', '.join(known)}."
            raise TollwayError(text, param="service", type="auth_error", status=400)
        if service not in KINDS and service not in ALERT_CHANNELS:
            built = ", ".join(sorted({*KINDS, *ALERT_CHANNELS}))
            text = f"'{service}' is not configured: this release has {built}."
            raise TollwayError(text, param="service", type="auth_error", status=422)
        try:
            await self._services.try_service(service)
        except TollwayError as error:
            status = 422 if error.status == 422 else 500
            what = "is not configured" if status == 422 else "did not take a test event"
            text = f"'{service}' {what}: {error.message}"
            raise TollwayError(text, param="service", type="auth_error", status=status) from None
        return service

    async def test(self, body: ConnectionTest) -> Checked:
        """Asks a deployment that is not served. Raises `InvalidRequest` for one that could not be called."""
        self._context.check_fields(self._context.actor.role, body.changes())
        if (place := _reference(body.litellm_params, "litellm_params")) is not None:
            raise Forbidden(f"{place}: a test may not refer to the environment. Send the value itself.", param=place)
        check_written(self._services, body.litellm_params, field="litellm_params", lends_secrets=True)
        info = {**(body.model_info or {}), "id": _NAME, **({"mode": body.mode} if body.mode else {})}
        model = str(body.litellm_params.get("model") or "")
        entry = ModelEntry(
            model_name=model or _NAME,
            litellm_params=protect_params(body.litellm_params),
            model_info=info,
            id=_NAME,
            origin="the request",
        )
        try:
            return await self._services.try_deployment(entry)
        except ConfigurationError as error:
            raise InvalidRequest(str(error), param="litellm_params") from None


def _reference(value: Any, place: str) -> str | None:
    """Where a reference to the environment is."""
    if isinstance(value, str):
        return place if value.startswith(_REFERENCE) else None
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return next((found for name, one in children if (found := _reference(one, f"{place}.{name}")) is not None), None)
