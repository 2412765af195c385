"""One client request on its way through the gateway: the only mutable object of the path."""

from __future__ import annotations

import hashlib
import time
from math import inf
from typing import TYPE_CHECKING, Protocol

import msgspec

from tollway.core.caching import NO_CACHE_CONTROL, CacheControl
from tollway.core.errors import Header, UpstreamError
from tollway.core.ids import new_record_id
from tollway.core.principal import NO_SESSION_LIMITS, Entity, Principal, Scope, SessionLimits, Stop
from tollway.core.snapshot import Deployment, ModelGroup, Operation, Settings
from tollway.core.usage import NO_USAGE, Usage
from tollway.core.wishes import NO_WISHES, Wishes
from tollway.dialects.body import Request
from tollway.dialects.identity import Relay, Reply
from tollway.ports.counters import Settled, Ticket
from tollway.ports.responses import KeptAnswer
from tollway.ports.similar import Meaning
from tollway.routing.survey import Survey, Why

if TYPE_CHECKING:
    from tollway.gateway.received import Audience
    from tollway.gateway.resumption import Resumption
    from tollway.gateway.thread import Thread

Headers = dict[bytes, bytes]


class Tried(msgspec.Struct, frozen=True, gc=False):
    """One attempt of a call that failed."""

    deployment_id: str
    model_name: str
    group: str
    status: int
    error_class: str
    seconds: float


class PassedOver(msgspec.Struct, frozen=True, gc=False):
    """A deployment that was not asked, and why."""

    deployment_id: str
    model_name: str
    group: str
    why: Why


class Controls(msgspec.Struct, kw_only=True, gc=False):
    """What the caller tells the gateway rather than the provider, from headers and body."""

    tags: tuple[str, ...] = ()
    end_user: str = ""
    session_id: str = ""
    session_limits: SessionLimits = NO_SESSION_LIMITS
    """What the caller allows this session at most."""
    trace_id: str = ""
    metadata: bytes = b""
    """JSON object as sent."""
    timeout_s: float | None = None
    """For the whole call, retries and fallbacks included."""
    stream_timeout_s: float | None = None
    """For the first byte of an answer that is streamed."""
    priority: int | None = None
    """Where calls wait in line, lower numbers go first; None: the call names none."""
    cache: CacheControl = NO_CACHE_CONTROL
    """Of answers that are kept."""
    wishes: Wishes = NO_WISHES
    """Of routing, retries and fallbacks: the request's, its key's and its team's."""
    named_fallbacks: tuple[str, ...] = ()
    """Models that the request itself wants to turn to."""
    mock_response: str | None = None
    is_unreported: bool = False
    """Callbacks are not to be told about it."""
    drops_params: bool | None = None
    """Whether what the provider cannot be told is left out rather than refused; None: as configured."""
    allowed_params: tuple[str, ...] = ()
    """Fields that go to the provider whatever the gateway knows of it."""
    extra_headers: tuple[tuple[str, str], ...] = ()
    """Headers for the provider, from the body; they are checked."""
    explains: bool = False
    """The caller wants to be told about every deployment that was considered."""
    ignored: tuple[str, ...] = ()
    """Gateway fields that this release knows and does not act on yet."""


ANONYMOUS = Principal(key_hash="")
"""The caller until authenticated."""
_NO_CONTROLS = Controls()
_UNREAD = Request({}, None, False, False, None, 1)


class Conversation(Protocol):
    """How a call is put to a deployment. It does not hold the call, by which it is held: a cycle would be garbage."""

    operation: Operation
    """What the deployment is asked for: the key of its endpoint."""
    dropped: tuple[str, ...]
    """What the deployment could not be told."""
    repaired: tuple[str, ...]
    """What was mended so that the deployment takes it."""
    passed_headers: tuple[tuple[str, str], ...]
    """Headers of the caller that are the provider's."""

    def render_request(self, call: Call) -> bytes:
        """The body for the provider. Raises `InvalidRequest` for what it cannot be told."""
        ...

    def read_answer(self, call: Call, body: bytes) -> Reply:
        """A whole answer as the client gets it. Raises `msgspec.DecodeError` if it is not one."""
        ...

    def relay(self, call: Call) -> Relay:
        """For the stream of the answer."""
        ...

    def refusal(self, status: int, body: bytes, headers: tuple[Header, ...]) -> UpstreamError:
        """What the provider's error means."""
        ...


class Call:
    """Everything known about one call so far. Times are seconds of `time.perf_counter` unless the name says else."""

    __slots__ = (
        "accrued_nanos",
        "accrued_usage",
        "asked_group",
        "audience",
        "cache_key",
        "call_id",
        "client_ip",
        "considered",
        "controls",
        "conversation",
        "customer",
        "deployment",
        "fallbacks",
        "first_token",
        "group",
        "headers",
        "is_client_gone",
        "is_settled",
        "is_stream_path",
        "kept",
        "limited",
        "lost_s",
        "meaning",
        "operation",
        "passed_over",
        "path",
        "path_model",
        "principal",
        "raw_body",
        "record_id",
        "request",
        "requested_model",
        "reserved_for",
        "reserved_nanos",
        "resumption",
        "retries",
        "scopes",
        "sent",
        "session",
        "settings",
        "settled",
        "similarity",
        "spent_nanos",
        "started",
        "started_at_us",
        "stop",
        "thread",
        "tickets",
        "tried",
        "upstream_body",
        "upstream_s",
    )

    def __init__(
        self,
        *,
        operation: Operation,
        path: str,
        headers: Headers,
        client_ip: str,
        settings: Settings,
        path_model: str | None = None,
        is_stream_path: bool = False,
    ) -> None:
        """`path_model`: the model named by the path (`/engines/{model}/…`); `is_stream_path`: it asks for a stream."""
        self.started = time.perf_counter()
        self.started_at_us = time.time_ns() // 1000
        self.operation: Operation = operation
        self.path = path
        self.path_model = path_model
        self.is_stream_path = is_stream_path
        self.headers = headers
        self.client_ip = client_ip
        self.settings = settings
        self.record_id = new_record_id(self.started_at_us // 1000)
        given = headers.get(b"x-litellm-call-id")
        self.call_id = self.record_id if given is None else _call_id(given, self.record_id)
        self.raw_body = b""
        self.principal = ANONYMOUS
        self.controls = _NO_CONTROLS
        self.request = _UNREAD
        self.requested_model = ""
        self.asked_group: ModelGroup | None = None
        self.group: ModelGroup | None = None
        """The one that is asked now: another where that has failed."""
        self.deployment: Deployment | None = None
        self.conversation: Conversation | None = None
        """How the deployment is spoken to."""
        self.thread: Thread | None = None
        """Its place in a conversation that is kept somewhere; None: its format knows of none."""
        self.customer: Entity | None = None
        """The end user; None: the call names none."""
        self.limited: tuple[Entity, ...] = ()
        """Tags and access groups of this call that have limits."""
        self.session: Scope | None = None
        """Limits of the agent's run that this call belongs to."""
        self.stop: Stop | None = None
        """Its session was stopped while it was in flight."""
        self.scopes: tuple[Scope, ...] = ()
        self.tickets: tuple[Ticket, ...] = ()
        """What is reserved for it, the first for most of it. All are settled together."""
        self.reserved_for: Deployment | None = None
        self.reserved_nanos = 0
        """The most that it can cost."""
        self.tried: tuple[Tried, ...] = ()
        """Attempts that have failed."""
        self.passed_over: tuple[PassedOver, ...] = ()
        """Deployments that could not be asked, as far as they were looked at."""
        self.considered: tuple[str, ...] = ()
        """Ids of those that could, by group, where the caller wants to know."""
        self.retries = 0
        self.fallbacks = 0
        self.accrued_usage: Usage = NO_USAGE
        """Used by attempts that were cut short; it is paid for beside what the last one uses."""
        self.accrued_nanos = 0
        """What that costs."""
        self.resumption: Resumption | None = None
        """Where its stream stands that has broken off before."""
        self.lost_s = 0.0
        """Time spent on attempts that failed, and on the pauses after them."""
        self.upstream_body = b""
        self.sent = 0.0
        """When the request went to the provider; 0.0: it did not."""
        self.upstream_s = 0.0
        """Time spent waiting for the provider."""
        self.first_token = 0.0
        self.cache_key = ""
        """Under which its answer is kept; empty: it is not."""
        self.kept: KeptAnswer | None = None
        """The answer of an earlier call, which is this one's too."""
        self.meaning: Meaning | None = None
        """By which its answer can be found again; None: by its key only."""
        self.similarity = 0.0
        """How much the earlier call's question is like this one; 0.0: nobody compared them."""
        self.audience: Audience | None = None
        """Who is told about it once it has ended; None: nobody."""
        self.is_settled = False
        self.settled: Settled | None = None
        self.spent_nanos: int | None = None
        """What the key has spent in its window, as far as known."""
        self.is_client_gone = False

    def is_mocked(self, deployment: Deployment) -> bool:
        """Whether the built-in model answers in the deployment's place, with a given text."""
        return self.controls.mock_response is not None or deployment.mock_response is not None

    @property
    def is_translated(self) -> bool:
        """Whether its deployment is asked in another format."""
        return self.conversation is not None and self.conversation.operation != self.operation

    def begin_again(self, *, retries: int, fallbacks: int, pause_s: float) -> None:
        """Before another attempt, and the pause before it, the last having come to nothing."""
        self.lost_s += pause_s + (time.perf_counter() - self.sent if self.sent else 0.0)
        self.retries = retries
        self.fallbacks = fallbacks
        self.sent = self.upstream_s = 0.0
        if self.resumption is None:  # otherwise the caller has had its first token
            self.first_token = 0.0

    def note_survey(self, group: ModelGroup, survey: Survey) -> None:
        """Who of a group could be asked, and who not."""
        known = {one.deployment_id for one in self.tried if one.group == group.name}
        for one in survey.skipped:
            if one.deployment.id in known:  # it was asked, and failed
                continue
            passed = PassedOver(one.deployment.id, one.deployment.model_name, group.name, one.why)
            if passed not in self.passed_over:
                self.passed_over += (passed,)
        if self.controls.explains:
            names = tuple(f"{group.name}/{one.id}" for one in survey.candidates)
            self.considered += tuple(name for name in names if name not in self.considered)

    def become(self, twin: Call) -> None:
        """Goes on as the same call to another deployment, which has answered first."""
        for name in ("group", "deployment", "conversation", "upstream_body", "sent", "upstream_s", "first_token"):
            setattr(self, name, getattr(twin, name))

    def accrue(self, usage: Usage, cost_nanos: int) -> None:
        """An attempt that was cut short has used this."""
        self.accrued_usage = self.accrued_usage.plus(usage)
        self.accrued_nanos += cost_nanos

    @property
    def waited_s(self) -> float:
        """All the time for which others kept the call waiting."""
        return self.upstream_s + self.lost_s

    @property
    def ticket(self) -> Ticket | None:
        """The ticket of its first reservation."""
        return self.tickets[0] if self.tickets else None

    @property
    def seconds_left(self) -> float:
        """Of the time that the caller allows; without end where they say nothing."""
        limit = self.controls.timeout_s
        return inf if limit is None else max(0.001, limit - (time.perf_counter() - self.started))

    def fingerprint(self) -> str:
        """Of what is asked: two calls have the same one if their bodies are the same, byte for byte, at one address."""
        address = f"{self.path}\n{self.path_model}\n".encode()
        return hashlib.blake2b(address + self.raw_body, digest_size=12).hexdigest()

    @property
    def end_user(self) -> str:
        """Whom the caller acts for, where that is metered."""
        return "" if self.settings.ignores_end_users else self.controls.end_user


def is_background(call: Call) -> bool:
    """Whether the provider is to make the answer in the background, and go on when nobody listens."""
    return call.operation == "responses" and call.request.fields.get("background") == _TRUE


_TRUE = msgspec.Raw(b"true")


def _call_id(given: bytes, otherwise: str) -> str:
    """The caller's id if it is printable and not too long. Otherwise the record's: one index less for the ledger."""
    if 0 < len(given) <= 128:
        text = given.decode("latin-1")
        if text.isascii() and text.isprintable():
            return text
    return otherwise
