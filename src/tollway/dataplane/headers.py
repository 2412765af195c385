"""Response headers of the wire contract (`x-litellm-*`, `x-ratelimit-*`, `llm_provider-*`), as bytes.

A response carries some 35 of them, and making and checking each as a pair of name and value took a sixth of a call's
time. So they are written as lines at once, and whatever is the same for every call of a key, or of a deployment, is
encoded once. Values that others chose are checked here: a line break would begin a header of its own.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from tollway.core.errors import Header
from tollway.core.money import dollars_from_nanos
from tollway.core.principal import Scope
from tollway.core.snapshot import Deployment
from tollway.dataplane.asgi import SECURITY_HEADERS
from tollway.dataplane.cors import cors_headers
from tollway.gateway.call import Call
from tollway.gateway.vendor_headers import names_passed_on
from tollway.policy.limits import SCOPES_OF_DEPLOYMENTS, local_limits
from tollway.ports.counters import Remaining, Ticket

CONTRACT_VERSION = b"1.106.2"
"""The LiteLLM release whose wire contract is spoken; clients read it as the server's version."""

_KEPT = 4096
"""Entries of each memo: wildcards make deployments without end, keys come and go, vendors invent headers."""

_ATTEMPTS = b"x-litellm-attempted-retries: %d\r\nx-litellm-attempted-fallbacks: %d\r\n"
_FIRST_ATTEMPT = _ATTEMPTS % (0, 0)


class _ScopeLines:
    """What headers say of one scope: its limits are encoded, what is left of them is to be filled in."""

    __slots__ = ("limits", "parallel", "requests", "scope", "tokens")

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.requests = _rate_lines(scope, b"requests", scope.rpm)
        self.tokens = _rate_lines(scope, b"tokens", scope.tpm)
        self.parallel = _rate_lines(scope, b"max_parallel_requests", scope.parallel)
        self.limits = _encode(_key_limits(scope))
        """For the scope of a key."""


def _rate_lines(scope: Scope, what: bytes, limit: int | None) -> bytes:
    if limit is None:
        return b""
    kind = scope.kind.encode()
    return b"x-ratelimit-%b-remaining-%b: %%d\r\nx-ratelimit-%b-limit-%b: %d\r\n" % (kind, what, kind, what, limit)


def _key_limits(scope: Scope) -> list[Header]:
    headers: list[Header] = []
    if scope.budget_nanos is not None:
        headers.append((b"x-litellm-key-max-budget", b"%a" % dollars_from_nanos(scope.budget_nanos)))
    if scope.tpm is not None:
        headers.append((b"x-litellm-key-tpm-limit", b"%d" % scope.tpm))
    if scope.rpm is not None:
        headers.append((b"x-litellm-key-rpm-limit", b"%d" % scope.rpm))
    return headers


class HeaderWriter:
    """Writes the headers of calls."""

    def __init__(self) -> None:
        self._of_deployments: dict[tuple[str, str], bytes] = {}
        self._of_scopes: dict[int, _ScopeLines] = {}
        self._prefixes: dict[bytes, tuple[bytes, ...]] = {}

    def of_call(self, call: Call, cost_nanos: int = 0) -> bytes:
        """What every response of a call carries, errors included. `cost_nanos`: of the call, as far as it is known."""
        attempts = _FIRST_ATTEMPT if not call.tried else _ATTEMPTS % (call.retries, call.fallbacks) + _failures(call)
        lines = b"%bx-litellm-call-id: %b\r\n%b" % (self._fixed(call), call.call_id.encode("latin-1"), attempts)
        if call.passed_over or call.considered:
            lines += _looked_at(call)
        if call.tickets:
            ticket = call.tickets[0]
            lines += self._rates(ticket, cost_nanos)
            if ticket.divided_by > 1:
                lines += b"%b: %b\r\n" % local_limits(ticket.divided_by)
        if call.kept is not None:
            lines += b"x-litellm-cache-key: %b\r\n" % _field_value(call.cache_key)
            if call.similarity:
                lines += b"x-litellm-semantic-similarity: %.4f\r\n" % call.similarity
        if call.controls.ignored:
            names = ", ".join(call.controls.ignored)
            lines += b"x-tollway-warning: not supported yet, ignored: %b\r\n" % names.encode("latin-1", "replace")
        if call.conversation is not None and call.conversation.dropped:
            names = ", ".join(call.conversation.dropped)
            lines += b"x-tollway-dropped: %b\r\n" % _field_value(names)
        if call.conversation is not None and call.conversation.repaired:
            lines += b"x-tollway-repaired: %b\r\n" % ", ".join(call.conversation.repaired).encode()
        if b"origin" in call.headers:
            lines += _encode(cors_headers(call.headers, call.settings))
        return lines

    def of_answer(self, call: Call, cost_nanos: int, upstream: Sequence[Header]) -> bytes:
        """All of a whole answer."""
        total = time.perf_counter() - call.started
        return (
            b"%b%b%bx-litellm-response-cost: %a\r\nx-litellm-response-duration-ms: %.3f\r\n"
            b"x-litellm-overhead-duration-ms: %.3f\r\ncontent-type: application/json\r\n"
        ) % (
            self.of_call(call, cost_nanos),
            self._key(call),
            self._passed_on(upstream),
            dollars_from_nanos(cost_nanos),
            total * 1e3,
            (total - call.waited_s) * 1e3,
        )

    def of_stream(self, call: Call, upstream: Sequence[Header]) -> bytes:
        """All of a stream: its cost is not known yet."""
        overhead_s = time.perf_counter() - call.started - call.waited_s
        return (
            b"%b%b%bx-litellm-overhead-duration-ms: %.3f\r\n"
            b"content-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\nx-accel-buffering: no\r\n"
        ) % (self.of_call(call), self._key(call), self._passed_on(upstream), max(0.0, overhead_s) * 1e3)

    def _rates(self, ticket: Ticket, cost_nanos: int) -> bytes:
        """Limit and remainder of every rate limit that the call passed, and what is left of its session."""
        lines = b""
        for left in ticket.remaining:
            if left.scope.kind in SCOPES_OF_DEPLOYMENTS:  # nothing of the caller's
                continue
            if left.scope.kind == "session":  # made for this call: nothing to remember
                lines += _session(left, cost_nanos)
                continue
            of_scope = self._scope_lines(left.scope)
            if left.requests is not None and of_scope.requests:
                lines += of_scope.requests % left.requests
            if left.tokens is not None and of_scope.tokens:
                lines += of_scope.tokens % left.tokens
            if left.parallel is not None and of_scope.parallel:
                lines += of_scope.parallel % left.parallel
        return lines

    def _key(self, call: Call) -> bytes:
        """The key's limits, and its spend: with this call in it, or before it where a stream is only beginning."""
        own = call.principal.own
        if own is None:
            return b""
        limits = self._scope_lines(own).limits
        if call.spent_nanos is None:
            return limits
        return b"x-litellm-key-spend: %a\r\n%b" % (dollars_from_nanos(call.spent_nanos), limits)

    def _scope_lines(self, scope: Scope) -> _ScopeLines:
        """Found by identity, which is cheaper than comparing; an entry holds its scope, so the id stays its own."""
        return self._of_scopes.get(id(scope)) or self._add_scope(scope)

    def _add_scope(self, scope: Scope) -> _ScopeLines:
        if len(self._of_scopes) >= _KEPT:
            self._of_scopes.clear()
        lines = self._of_scopes[id(scope)] = _ScopeLines(scope)
        return lines

    def _passed_on(self, upstream: Sequence[Header]) -> bytes:
        """A vendor's headers as the client gets them."""
        parts: list[bytes] = []
        for name, value in upstream:
            for prefix in self._prefixes.get(name) or self._add_prefixes(name):
                parts += (prefix, value, b"\r\n")
        lines = b"".join(parts)
        breaks = len(parts) // 3
        if lines.count(b"\n") != breaks or lines.count(b"\r") != breaks or b"\0" in lines:
            return self._passed_on([header for header in upstream if not _breaks_out(header)])
        return lines

    def _add_prefixes(self, name: bytes) -> tuple[bytes, ...]:
        if len(self._prefixes) >= _KEPT:
            self._prefixes.clear()
        prefixes = self._prefixes[name] = tuple(b"%b: " % each for each in names_passed_on(name))
        return prefixes

    def _fixed(self, call: Call) -> bytes:
        """What is the same for every response of this model's deployment."""
        deployment = call.deployment
        if deployment is None:
            return _FIXED
        group = call.group.name if call.group is not None else deployment.group
        return self._of_deployments.get((deployment.id, group)) or self._fix(deployment, group)

    def _fix(self, deployment: Deployment, group: str) -> bytes:
        if len(self._of_deployments) >= _KEPT:
            self._of_deployments.clear()
        named = (
            (b"x-litellm-model-id", deployment.id),
            (b"x-litellm-model-group", group),
            (b"x-litellm-model-name", deployment.model_name),
            (b"x-litellm-model-api-base", deployment.api_base),
        )
        fields = [(name, _field_value(value)) for name, value in named if value]
        encoded = self._of_deployments[deployment.id, group] = _FIXED + _encode(fields)
        return encoded


def _failures(call: Call) -> bytes:
    """Which deployments were asked in vain, in order."""
    failures = [f"{one.group}/{one.deployment_id} {one.status} {one.error_class}" for one in call.tried]
    return b"x-tollway-failed-attempts: %b\r\n" % _field_value(", ".join(failures))


def _looked_at(call: Call) -> bytes:
    """Which deployments could not be asked, and why; and which could, where the caller wants to know."""
    skipped = ", ".join(f"{one.group}/{one.deployment_id} {one.why}" for one in call.passed_over)
    lines = b"x-tollway-skipped-deployments: %b\r\n" % _field_value(skipped) if skipped else b""
    if call.considered:
        lines += b"x-tollway-considered-deployments: %b\r\n" % _field_value(", ".join(call.considered))
    return lines


def _session(left: Remaining, cost_nanos: int) -> bytes:
    """What is left of a session after this call, others in flight aside."""
    lines = b""
    if left.calls is not None:
        lines += b"x-tollway-session-steps-remaining: %d\r\n" % left.calls
    if left.budget_nanos is not None:
        dollars = dollars_from_nanos(max(0, left.budget_nanos - cost_nanos))
        lines += b"x-tollway-session-budget-remaining: %a\r\n" % dollars
    return lines


def _encode(headers: Iterable[Header]) -> bytes:
    return b"".join(b"%b: %b\r\n" % header for header in headers)


_FIXED = _encode([*SECURITY_HEADERS, (b"x-litellm-version", CONTRACT_VERSION)])


def _field_value(text: str) -> bytes:
    """A text as a header can carry it: what a caller named a model must not begin a header of its own."""
    if not text.isprintable():
        text = "".join(each if each.isprintable() else "?" for each in text)
    return text.encode("latin-1", "replace")


def _breaks_out(header: Header) -> bool:
    return any(byte in part for part in header for byte in (b"\n", b"\r", b"\0"))
