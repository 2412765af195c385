"""Asking a deployment for a few tokens, to see whether it works."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from tollway.core.errors import Misconfigured, TollwayError, UpstreamError
from tollway.core.health import Checked
from tollway.core.principal import Principal
from tollway.core.snapshot import Deployment, ModelGroup, Operation, Settings
from tollway.dialects.body import read_fields
from tollway.dialects.registry import find_identity
from tollway.gateway.call import Call, Controls
from tollway.gateway.conversation import offers
from tollway.gateway.run import Gateway
from tollway.routing.failure import failure_of

_PING = {"role": "user", "content": "ping"}
_OPERATIONS: dict[str, Operation] = {
    "chat": "chat",
    "completion": "completions",
    "embedding": "embeddings",
    "responses": "responses",
}
"""What a deployment is asked for, by its mode."""


class Outcome(NamedTuple):
    """What came of a probe."""

    checked: Checked
    error: TollwayError | None

    @property
    def is_about_the_deployment(self) -> bool:
        """Whether it says anything of it: not where the gateway itself kept the probe from being sent."""
        return self.error is None or isinstance(self.error, UpstreamError)


class Prober:
    """Makes probes, as calls of somebody who pays for them."""

    def __init__(self, gateway: Gateway, settings: Callable[[], Settings], name: str) -> None:
        """`name`: of this process, in results."""
        self._gateway = gateway
        self._settings = settings
        self._name = name

    async def check(
        self,
        deployment: Deployment,
        principal: Principal,
        *,
        group: ModelGroup | None = None,
        tags: tuple[str, ...] = (),
    ) -> Outcome:
        """Asks a deployment, or who stands in for it. `group`: for one that is not served."""
        asked = deployment.probe.stand_in or deployment
        call = self._call(asked, principal, deployment.probe.max_tokens, deployment.probe.timeout_s, tags)
        error = None
        try:
            found = group if group is not None else await self._gateway.find_group(call)
            if not offers(call)(asked):
                raise Misconfigured(
                    f"A deployment of mode {deployment.mode} at {asked.provider} cannot be probed.", param="mode"
                )
            await self._gateway.probe(call, found, asked)
        except TollwayError as failure:
            error = failure
            await self._gateway.settle_failure(call, failure)
        except asyncio.CancelledError:
            await self._gateway.abandon(call)
            raise
        return Outcome(self._checked(deployment, call, error), error)

    def _checked(self, deployment: Deployment, call: Call, error: TollwayError | None) -> Checked:
        failure = failure_of(error) if error is not None else None
        return Checked(
            health_check_id=call.record_id,
            model_id=deployment.id,
            model_name=deployment.group,
            is_healthy=error is None,
            status_code=failure.status if failure is not None else 200,
            error_class=failure.error_class if failure is not None else "",
            error_message=error.message[:2_000] if error is not None else "",
            response_ms=round((time.perf_counter() - call.started) * 1000, 3),
            checked_by=self._name,
            checked_at=time.time_ns() // 1000,
        )

    def _call(
        self, asked: Deployment, principal: Principal, max_tokens: int, timeout_s: float, tags: tuple[str, ...]
    ) -> Call:
        operation = _OPERATIONS.get(asked.mode, "chat")
        call = Call(
            operation=operation,
            path="/health",
            headers={},
            client_ip="",
            settings=self._settings(),
            path_model=asked.id,
        )
        call.principal = principal
        call.controls = Controls(timeout_s=timeout_s, tags=tags)
        call.raw_body = msgspec.json.encode(_body(operation, max_tokens))
        call.request = find_identity(operation).read_request(
            read_fields(call.raw_body), path_model=None, is_stream=False
        )
        return call


def _body(operation: Operation, max_tokens: int) -> dict[str, Any]:
    match operation:
        case "embeddings":
            return {"input": "ping"}
        case "completions":
            return {"prompt": "ping", "max_tokens": max_tokens}
        case "responses":
            return {"input": "ping", "max_output_tokens": max(16, max_tokens)}  # OpenAI takes no fewer
        case _:
            return {"messages": [_PING], "max_tokens": max_tokens}
