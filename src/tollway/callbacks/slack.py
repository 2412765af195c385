"""Alerts in a chat: Slack's incoming webhooks, and whatever takes the same body.

Wire contract: callbacks-and-guardrails §3; https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks
(2026-11-26).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Self

import msgspec

from tollway.callbacks._kit import Client, checked_url, needed
from tollway.callbacks.alert import Alert

NAMES = ("slack",)
VARIABLES: Mapping[str, str | None] = {"slack_webhook_url": "SLACK_WEBHOOK_URL", "proxy_base_url": "PROXY_BASE_URL"}
_LONGEST = 3000


class Slack:
    """Posts an alert to each of its addresses."""

    def __init__(self, urls: Sequence[str], proxy_url: str) -> None:
        self._urls = [checked_url(url, name="SLACK_WEBHOOK_URL") for url in urls]
        self._proxy_url = proxy_url
        self._client = Client(title="slack", check="SLACK_WEBHOOK_URL")

    @classmethod
    def open(cls, variables: Mapping[str, str]) -> Self:
        """`slack_webhook_url` may hold several, with commas between. Raises `Misconfigured`."""
        urls = needed(variables, "slack_webhook_url", title="slack", environment="SLACK_WEBHOOK_URL")
        given = [one.strip() for one in urls.split(",") if one.strip()]
        return cls(given, variables.get("proxy_base_url") or "")

    async def send(self, alert: Alert) -> None:
        """To all of them. Raises `UpstreamError` or `Misconfigured`, once it was tried everywhere."""
        body = msgspec.json.encode({"text": self._text(alert)})
        failures: list[Exception] = []
        for url in self._urls:
            try:
                await self._client.send(url, body, {"Content-Type": "application/json"})
            except Exception as error:  # noqa: BLE001 - the next address is tried all the same
                failures.append(error)
        if failures:
            raise failures[0]

    async def close(self) -> None:
        """Lets go of connections."""
        await self._client.close()

    def _text(self, alert: Alert) -> str:
        at = datetime.fromtimestamp(alert.at, UTC).strftime("%H:%M:%S")
        return (
            f"Alert type: `{alert.type}`\nLevel: `{alert.level}`\nTimestamp: `{at}`\n\n"
            f"Message: {alert.message[:_LONGEST]}\n\nProxy URL: `{self._proxy_url}`"
        )
