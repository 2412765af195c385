"""Alerts, as configured: made for the first thing that somebody is to be told, as most gateways tell nobody."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from tollway.callbacks.table import from_environ
from tollway.core.cooldown import Cooldown
from tollway.core.errors import BudgetExceeded, Misconfigured, StoreUnavailable, TollwayError, UpstreamError
from tollway.core.money import dollars_from_nanos
from tollway.core.principal import Scope
from tollway.core.snapshot import Deployment
from tollway.gateway.call import Call

if TYPE_CHECKING:
    from tollway.callbacks.alert import Alert, Level
    from tollway.callbacks.alerting import Alerting, Channel
    from tollway.config.configuration import Configuration

logger = logging.getLogger(__name__)

_SECTION = "general_settings"
_GROUPS = {
    "api_key": "key", "key_window": "key", "user": "user", "team": "team", "team_window": "team",
    "team_member": "team_member", "organization": "organization", "organization_member": "organization_member",
    "project": "project", "end_user": "end_user", "tag": "tag", "model_access_group": "model_access_group",
}  # fmt: skip
"""`event_group` by the kind of entity; anything else is the proxy's."""
_OF_GROUP = {"user": "user_id", "team": "team_id", "organization": "organization_id", "end_user": "customer_id"}


class LateAlerts:
    """What happens in the gateway, told to chats and webhooks. Nothing here is awaited by a call, or raises."""

    def __init__(self, configuration: Callable[[], Configuration], tally: Callable[[str, str], None]) -> None:
        self._configuration = configuration
        self._tally = tally
        self._made: tuple[Configuration, Alerting, list[Channel]] | None = None
        self._ending: set[asyncio.Task[None]] = set()

    def failed(self, call: Call, error: TollwayError) -> None:
        """A call failed, or was refused."""
        if not self._is_on():
            return
        if isinstance(error, BudgetExceeded):
            kind, name = error.refused_by
            self._tell("budget_alerts", "High", error.message, name or call.principal.key_hash, _event(call, kind))
        elif isinstance(error, StoreUnavailable):
            self._tell("db_exceptions", "High", error.message, "database")
        elif isinstance(error, UpstreamError) and error.status >= 500:
            model = call.deployment.model_name if call.deployment is not None else call.requested_model
            where = f"model {model}, call {call.call_id}"
            self._tell("llm_exceptions", "High", f"LLM API call failed: {error.message} ({where})", model)

    def crossed(self, scope: Scope) -> None:
        """Spend has reached a soft budget."""
        if self._is_on():
            group = _GROUPS.get(scope.kind, "proxy")
            budget = dollars_from_nanos(scope.soft_budget_nanos or 0)
            event = {"event": "soft_budget_crossed", "event_group": group, "soft_budget": budget}
            if group == "key":
                event |= {"token": scope.id, "key_alias": scope.label}
            elif group in _OF_GROUP:
                event[_OF_GROUP[group]] = scope.id
            text = f"Soft budget crossed: {scope.kind} {scope.label or scope.id} has spent {budget} dollars"
            self._tell("budget_alerts", "Low", text, f"soft {scope.kind} {scope.id}", event)

    def set_aside(self, deployment: Deployment, cooldown: Cooldown) -> None:
        """A deployment is not asked for a while."""
        if self._is_on():
            text = (
                f"Deployment {deployment.id} ({deployment.model_name}) is set aside for "
                f"{max(0.0, cooldown.until - time.time()):.0f} s: {cooldown.error_class} {cooldown.status or ''}"
            )
            self._tell("cooldown_deployment", "Medium", text.rstrip(), deployment.id)

    async def send_test(self, channel: str) -> None:
        """A message that says it is a test, to one channel.

        Raises `Misconfigured` with status 422 where something is missing, and `UpstreamError` where it fails.
        """
        from tollway.callbacks.alert import Alert

        configuration = self._configuration()
        try:
            opened = _open(channel, configuration)
        except Misconfigured as error:
            raise Misconfigured(error.message, status=422) from None
        try:
            event = {"event": "budget_crossed", "event_group": "proxy"}
            text = "This is a test: alerts of this gateway arrive here."
            await opened.send(Alert(type="budget_alerts", level="Low", message=text, at=time.time(), event=event))
        finally:
            await opened.close()

    async def close(self) -> None:
        """Sends what waits, for a few seconds at most."""
        made, self._made = self._made, None
        if made is not None:
            await _end(*made[1:])
        if self._ending:
            await asyncio.wait(self._ending)

    def _is_on(self) -> bool:
        return bool(self._configuration().origins[f"{_SECTION}.alerting"].value)

    def _tell(
        self, type_: str, level: Level, message: str, subject: str, event: Mapping[str, Any] | None = None
    ) -> None:
        from tollway.callbacks.alert import Alert

        alert: Alert = Alert(
            type=type_, level=level, message=message, at=time.time(), subject=subject, event=event or {}
        )
        self._alerting().tell(alert)

    def _alerting(self) -> Alerting:
        configuration = self._configuration()
        if self._made is None or self._made[0] is not configuration:
            if self._made is not None:
                task = asyncio.create_task(_end(*self._made[1:]))
                self._ending.add(task)
                task.add_done_callback(self._ending.discard)
            self._made = (configuration, *_make(configuration, self._tally))
        return self._made[1]


async def _end(alerting: Alerting, channels: list[Channel]) -> None:
    await alerting.close()
    for channel in channels:
        await channel.close()


def _make(configuration: Configuration, tally: Callable[[str, str], None]) -> tuple[Alerting, list[Channel]]:
    from tollway.callbacks.alerting import ALERT_TYPES, Alerting, Rules, channels_by_type

    channels: list[Channel] = []

    def opened(name: str, variables: Mapping[str, str] | None = None) -> list[Channel]:
        try:
            found = _open(name, configuration, variables)
        except Misconfigured as error:
            logger.error("Alerts are not sent to %s: %s", name, error.message)
            return []
        channels.append(found)
        return [found]

    named = _setting(configuration, "alerting") or ()
    by_type: dict[str, list[Channel]] = {}
    urls: Mapping[str, Any] = _setting(configuration, "alert_to_webhook_url") or {}
    others = opened("webhook") if "webhook" in named else []
    has_slack = "slack" in named and (not urls or _has_default(configuration))
    default = [*(opened("slack") if has_slack else ()), *others]
    for type_, given in urls.items() if "slack" in named else ():
        joined = ",".join(given) if isinstance(given, list | tuple) else str(given)
        by_type[type_] = [*opened("slack", {"slack_webhook_url": joined}), *others]
    wanted = _setting(configuration, "alert_types")
    args: Mapping[str, Any] = _setting(configuration, "alerting_args") or {}
    rules = Rules(types=frozenset(wanted or ALERT_TYPES), budget_s=float(args.get("budget_alert_ttl", 86_400)))
    alerting = Alerting(
        channels_by_type(default, by_type), rules, lambda type_: tally("tollway_alerts_total", type_), time.time
    )
    return alerting, channels


def _open(name: str, configuration: Configuration, own: Mapping[str, str] | None = None) -> Channel:
    if name == "slack":
        from tollway.callbacks.slack import VARIABLES, Slack

        return Slack.open({**from_environ(VARIABLES, configuration.environ), **(own or {})})
    from tollway.callbacks.webhook import VARIABLES, Webhook

    return Webhook.open(from_environ(VARIABLES, configuration.environ))


def _has_default(configuration: Configuration) -> bool:
    return bool(configuration.environ.get("SLACK_WEBHOOK_URL"))


def _setting(configuration: Configuration, name: str) -> Any:
    return configuration.origins[f"{_SECTION}.{name}"].value


def _event(call: Call, kind: str) -> dict[str, Any]:
    """Of a budget that a call would exceed."""
    principal = call.principal
    return {
        "event": "budget_crossed",
        "event_group": _GROUPS.get(kind, "proxy"),
        "token": principal.key_hash or None,
        "key_alias": principal.key_alias,
        "user_id": principal.user_id,
        "team_id": principal.team_id,
        "organization_id": principal.organization_id,
        "customer_id": call.end_user or None,
    }
