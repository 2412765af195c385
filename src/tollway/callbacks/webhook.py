"""Alerts about money as `WebhookEvent`s, for programs. Wire contract: callbacks-and-guardrails §3."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

import msgspec

from tollway.callbacks._kit import Client, checked_url, needed
from tollway.callbacks.alert import Alert

NAMES = ("webhook",)
VARIABLES: Mapping[str, str | None] = {"webhook_url": "WEBHOOK_URL"}


class Webhook:
    """Posts what has an event, and leaves the rest to chats."""

    def __init__(self, url: str) -> None:
        self._url = checked_url(url, name="WEBHOOK_URL")
        self._client = Client(title="webhook", check="WEBHOOK_URL")

    @classmethod
    def open(cls, variables: Mapping[str, str]) -> Self:
        """Raises `Misconfigured` naming what is missing."""
        return cls(needed(variables, "webhook_url", title="webhook", environment="WEBHOOK_URL"))

    async def send(self, alert: Alert) -> None:
        """Raises `UpstreamError` or `Misconfigured`."""
        if alert.event:
            event = {**_EMPTY, **alert.event, "event_message": alert.message}
            await self._client.send(self._url, msgspec.json.encode(event), {"Content-Type": "application/json"})

    async def close(self) -> None:
        """Lets go of connections."""
        await self._client.close()


_EMPTY = dict.fromkeys(
    ("spend", "max_budget", "soft_budget", "token", "customer_id", "user_id", "team_id", "team_alias",
     "organization_id", "user_email", "key_alias", "projected_exceeded_date", "projected_spend", "alert_emails",
     "max_budget_alert_emails")
)  # fmt: skip
