"""Response headers of the wire contract (`x-litellm-*`, `x-ratelimit-*`, `llm_provider-*`)."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from tollway.core.errors import Header
from tollway.core.money import dollars_from_nanos
from tollway.core.snapshot import Deployment
from tollway.dataplane.asgi import SECURITY_HEADERS
from tollway.gateway.call import Call
from tollway.gateway.run import passed_on
from tollway.policy.limits import rate_limit_headers

CONTRACT_VERSION = b"1.106.2"
"""The LiteLLM release whose wire contract is spoken; clients read it as the server's version."""

_ATTEMPTS: tuple[Header, ...] = (
    (b"x-litellm-attempted-retries", b"0"),
    (b"x-litellm-attempted-fallbacks", b"0"),
)
_DURATION = b"x-litellm-response-duration-ms"
_OVERHEAD = b"x-litellm-overhead-duration-ms"


class HeaderWriter:
    """Writes the headers of calls. What does not change from call to call is encoded once per deployment."""

    def __init__(self) -> None:
        self._fixed: dict[tuple[str, str], bytes] = {}

    def fixed(self, call: Call) -> bytes:
        """Encoded fields that are the same for every response of this model's deployment."""
        deployment = call.deployment
        if deployment is None:
            return _FIXED
        group = call.group.name if call.group is not None else deployment.group
        return self._fixed.get((deployment.id, group)) or self._fix(deployment, group)

    def for_call(self, call: Call) -> list[Header]:
        """Other headers that every response of a call carries, errors included."""
        headers: list[Header] = [(b"x-litellm-call-id", call.call_id.encode("latin-1"))]
        if call.ticket is not None:
            headers += rate_limit_headers(call.ticket)
        if call.controls.ignored:
            names = ", ".join(call.controls.ignored)
            headers.append((b"x-tollway-warning", f"not supported yet, ignored: {names}".encode("latin-1", "replace")))
        return headers

    def of_answer(self, call: Call, cost_nanos: int, upstream: Sequence[Header]) -> list[Header]:
        """Headers of a whole answer, besides the fixed ones."""
        headers = self.for_call(call)
        headers.append((b"x-litellm-response-cost", dollars(cost_nanos)))
        headers += _key_headers(call)
        total = time.perf_counter() - call.started
        headers.append((_DURATION, b"%.3f" % (total * 1e3)))
        headers.append((_OVERHEAD, b"%.3f" % ((total - call.upstream_s) * 1e3)))
        headers += passed_on(upstream)
        return headers

    def of_stream(self, call: Call, upstream: Sequence[Header]) -> list[Header]:
        """Headers of a stream, besides the fixed ones: its cost is not known yet."""
        headers = self.for_call(call)
        headers += _key_headers(call)
        total = time.perf_counter() - call.started
        headers.append((_OVERHEAD, b"%.3f" % (max(0.0, total - call.upstream_s) * 1e3)))
        headers += passed_on(upstream)
        return headers

    def _fix(self, deployment: Deployment, group: str) -> bytes:
        if len(self._fixed) > 4096:  # wildcards make deployments without end
            self._fixed.clear()
        named = (
            (b"x-litellm-model-id", deployment.id),
            (b"x-litellm-model-group", group),
            (b"x-litellm-model-name", deployment.model_name),
            (b"x-litellm-model-api-base", deployment.api_base),
        )
        fields = [*_ATTEMPTS, *((name, _field_value(value)) for name, value in named if value)]
        encoded = self._fixed[deployment.id, group] = _FIXED + _encode(fields)
        return encoded


def _encode(headers: Iterable[Header]) -> bytes:
    return b"".join(b"%b: %b\r\n" % header for header in headers)


_FIXED = _encode([*SECURITY_HEADERS, (b"x-litellm-version", CONTRACT_VERSION)])


def dollars(nanos: int) -> bytes:
    """A number of dollars as the contract writes it: the shortest float."""
    return repr(dollars_from_nanos(nanos)).encode()


def _field_value(text: str) -> bytes:
    """A text as a header can carry it: what a caller named a model must not begin a header of its own."""
    return "".join(each if each.isprintable() else "?" for each in text).encode("latin-1", "replace")


def _key_headers(call: Call) -> list[Header]:
    """The key's limits, and its spend: with this call in it, or before it where a stream is only beginning."""
    scope = call.principal.own
    if scope is None:
        return []
    headers: list[Header] = []
    if call.spent_nanos is not None:
        headers.append((b"x-litellm-key-spend", dollars(call.spent_nanos)))
    if scope.budget_nanos is not None:
        headers.append((b"x-litellm-key-max-budget", dollars(scope.budget_nanos)))
    if scope.tpm is not None:
        headers.append((b"x-litellm-key-tpm-limit", b"%d" % scope.tpm))
    if scope.rpm is not None:
        headers.append((b"x-litellm-key-rpm-limit", b"%d" % scope.rpm))
    return headers
