"""The compiled configuration that the data plane executes: immutable, complete, swapped by reference.

`config.compile` makes it; nothing here reads YAML, the environment or a database.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Literal

import msgspec

from tollway.core.caching import Caching
from tollway.core.price import UNKNOWN_PRICE, Price
from tollway.core.principal import Scope, SessionLimits
from tollway.core.reporting import Report
from tollway.core.routing import Routing

Operation = Literal[
    "chat", "completions", "embeddings", "responses", "messages", "gemini", "converse", "cohere", "ollama"
]
"""What is asked, named by the format it is asked in. Clients ask in the first six, providers may be asked in any."""
OPERATIONS: tuple[Operation, ...] = (
    "chat", "completions", "embeddings", "responses", "messages", "gemini", "converse", "cohere", "ollama"
)  # fmt: skip
GENERATIVE: frozenset[Operation] = frozenset(OPERATIONS) - {"embeddings"}
"""Formats of a chat: what is asked in one of them can be answered by a deployment that speaks another."""

Cloud = Literal["anthropic", "amazon", "google"]
"""Who serves Claude: not every cloud knows every flag of Anthropic's beta."""

Trait = Literal["openai_fields", "cache_hints", "earlier_thoughts"]
"""What a provider's chat format has that not all have: OpenAI's own newest fields and nothing else; `cache_control` on
parts; `reasoning_content` of earlier turns."""

Wrapping = Literal["none", "amazon"]
"""What is around a format where another company serves it: Amazon has errors of its own, and frames around the events
of streams."""

TransportName = Literal["direct", "proxied", "demo"]
"""Who carries the bytes: our HTTP/1.1 client, the client for proxies and odd cases, or the built-in model."""

CredentialHeaders = Callable[["Endpoint", bytes], Awaitable[tuple[tuple[str, str], ...]]]
"""Headers of a credential that changes over time (an access token) or with the request (a signature over the endpoint
that is called and the body): awaited before each attempt, cached inside."""


class Origin(msgspec.Struct, frozen=True):
    """A server to connect to: the key of a connection pool."""

    scheme: Literal["http", "https"]
    host: str
    port: int
    verify: bool | str = True
    """False: do not check certificates; text: path of a CA bundle."""


class Timeouts(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds."""

    connect: float = 10.0
    first_byte: float = 600.0
    """From the request being sent to the first byte of the answer."""
    first_byte_of_stream: float | None = None
    """The same for an answer that is streamed; None: no other than for a whole one."""
    between_chunks: float = 300.0
    total: float = 6000.0


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """Where one operation of a deployment is called."""

    origin: Origin
    target: str
    """Path and query, as on the request line."""
    headers: tuple[tuple[str, str], ...]
    """Every header that does not change from call to call, credentials and content type included; no Host, no
    Content-Length."""
    credential: CredentialHeaders | None = None
    for_streams: Endpoint | None = None
    """Where an answer that is streamed is asked for; None: here."""
    for_counting: Endpoint | None = None
    """Where the provider counts the tokens of a prompt; None: it does not."""
    wrapping: Wrapping = "none"
    sets: dict[str, msgspec.Raw] = {}
    """Body fields that it wants besides those of the format."""
    omits: frozenset[str] = frozenset()
    """Body fields of the format that it refuses, most often because the path says the same."""


class Probe(msgspec.Struct, frozen=True, kw_only=True):
    """How a deployment is asked whether it works."""

    is_left_out: bool = False
    """Nobody asks unless told to."""
    timeout_s: float = 60.0
    max_tokens: int = 5
    stand_in: Deployment | None = None
    """Who is asked in its place."""


class Deployment(msgspec.Struct, frozen=True, kw_only=True):
    """One callable target, with everything resolved."""

    id: str
    group: str
    """Public model name."""
    provider: str
    model: str
    """What the provider calls it: the `model` of the upstream body."""
    model_name: str
    """`provider/model`, for headers, records and metrics."""
    api_base: str = ""
    transport: TransportName = "direct"
    endpoints: dict[Operation, Endpoint] = {}
    timeouts: Timeouts = Timeouts()
    price: Price = UNKNOWN_PRICE
    weight: float | None = None
    """Share of its group's calls; None: nobody said."""
    order: int = 0
    """Those of the lowest order are used while they work."""
    rpm: int | None = None
    tpm: int | None = None
    parallel: int | None = None
    scopes: tuple[Scope, ...] = ()
    """Limits and budgets of its own and of its provider, for admission."""
    cooldown_s: float | None = None
    """How long it is set aside; None: as all others."""
    tags: tuple[str, ...] = ()
    """Callers it is for, where calls are routed by tag."""
    region: str = ""
    is_catch_all: bool = False
    """Made from a pattern: many models share its state, and none of their troubles sets the others aside."""
    defaults: dict[str, msgspec.Raw] = {}
    """Body fields set when the caller leaves them out."""
    overrides: dict[str, msgspec.Raw] = {}
    """Body fields always set (`extra_body`)."""
    dropped: frozenset[str] = frozenset()
    """Body fields the provider refuses: removed."""
    renamed: dict[str, str] = {}
    """Body fields the provider calls otherwise."""
    sends_stream_usage: bool = True
    """Understands `stream_options.include_usage`."""
    cloud: Cloud = "anthropic"
    traits: frozenset[Trait] = frozenset()
    seals: frozenset[str] = frozenset()
    """Whose sealed thoughts the model can open."""
    drops_params: bool = False
    """What it cannot be told is left out rather than refused."""
    max_input_tokens: int | None = None
    max_output_tokens: int | None = None
    mode: str = "chat"
    mock_response: str | None = None
    """Answer with this text instead of calling anybody."""
    probe: Probe = Probe()
    info: dict[str, Any] = {}
    """`model_info` as configured, for listings."""
    is_stored: bool = False
    """It was added over the API."""


class ModelGroup(msgspec.Struct, frozen=True, kw_only=True):
    """The deployments that serve one public model name."""

    name: str
    deployments: tuple[Deployment, ...]
    access_groups: frozenset[str] = frozenset()
    team_id: str | None = None
    """The only team that may call it."""


class Wildcard(msgspec.Struct, frozen=True, kw_only=True):
    """A public name with `*`: a model group is made from it when a matching name is first asked for."""

    pattern: str
    """`openai/*`, `*`."""
    expand: Callable[[str], ModelGroup | None]
    """The group for a requested name that matches; None if the name cannot be served after all."""
    examples: tuple[str, ...] = ()
    """Known model names behind the pattern, for listings."""


class TeamModels(msgspec.Struct, frozen=True, kw_only=True):
    """What one team alone may call. For the team it goes before what everybody may."""

    groups: dict[str, ModelGroup] = {}
    wildcards: tuple[Wildcard, ...] = ()


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What the data plane may be told."""

    max_calls_at_once: int = 0
    """In one process; 0: no limit."""
    max_calls_waiting: int = 1000
    """Beyond that limit; more are refused at once."""
    longest_wait_s: float = 1.0
    """Of those."""
    max_parallel: int | None = None
    """Calls of all callers together, on all replicas; the master key's aside."""
    checks_fallbacks: bool = False
    """Callers need permission for fallbacks of the operator too."""
    max_request_bytes: int = 100 * 1024 * 1024
    max_response_bytes: int = 256 * 1024 * 1024
    output_reservation_tokens: int = 4096
    """Output reserved where the caller gives no maximum, unless the model's own limit is lower."""
    is_output_reservation_strict: bool = False
    """True: reserve the model's full output limit where the caller gives none."""
    budget_wait_s: float = 2.0
    """How long a call blocked only by others' reservations waits."""
    budget_exceeded_status: int = 422
    always_include_stream_usage: bool = False
    repairs_requests: bool = False
    """What a provider would refuse of a translated request is mended."""
    key_header: str | None = None
    """`litellm_key_header_name`: the header that carries the key instead of the usual ones."""
    default_model: str | None = None
    """`completion_model`: used where a body names none."""
    allowed_routes: tuple[str, ...] = ()
    key_cache_ttl_s: float = 60.0
    key_cache_size: int = 100_000
    key_grace_s: float = 3600.0
    """How long a cached key keeps working while the database is away."""
    timezone: str = "UTC"
    budget_reset_time: str = "00:00"
    allowed_addresses: tuple[str, ...] | None = None
    """Addresses and ranges of clients that are served; None: all."""
    believes_proxies: bool = False
    """The client is whom the proxy in front names."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses and ranges of proxies that are believed; empty: those of private networks."""
    cors_origins: tuple[str, ...] = ("*",)
    user_header: str | None = None
    is_metrics_key_required: bool = False
    proxy_budget_nanos: int = 0
    """Budget of everything that is not called with the master key; 0: none."""
    proxy_budget_duration: str | None = None
    end_user_budget_id: str | None = None
    """Budget of end users who have none of their own."""
    end_user_budget_nanos: int = 0
    """The same as an amount, where neither they nor their default budget has one; 0: none."""
    refuses_unknown_end_users: bool = False
    ignores_end_users: bool = False
    """True: end users are neither metered nor limited."""
    session_max_calls: int = 0
    session_max_repeats: int = 0
    """Most calls of each session, of whatever key but the master key; 0: no limit."""
    session_budget_nanos: int = 0
    """The same for what a session may cost; 0: no limit."""
    stores_responses: bool = True
    """Answers of the Responses API are kept where the provider keeps none."""
    responses_kept: str = "30d"
    """For how long."""
    shares_responses: bool = False
    """True: a response may be used by whoever knows its id."""
    allows_foreign_responses: bool = False
    """True: ids of responses that were not given out here go to the provider as they are."""
    probes_in_background: bool = False
    probe_interval_s: float = 300.0
    probes_at_once: int = 10
    shows_probe_details: bool = True
    shares_probes: bool = False
    """One gateway probes for all on its database."""
    probes_kept: str = "7d"
    """How long results are kept: a duration."""
    reports: tuple[Report, ...] = ()
    """Who is told about every call."""
    redacts_messages: bool = False
    """Messages and answers are told to nobody."""
    redacts_key_info: bool = False
    """Nobody is told whose call it was."""
    ignores_no_log: bool = False
    """Callers cannot keep a call from being told about."""
    callers_disable_callbacks: bool = True
    """Callers can leave out some of those that are told."""
    unreported_fields: tuple[str, ...] = ()
    """Fields that are left out of what is told."""
    allows_private_callbacks: bool = False
    """Keys and teams may name addresses of private networks."""

    @property
    def session_limits(self) -> SessionLimits:
        """What holds for the sessions of every key."""
        return SessionLimits(
            self.session_max_calls or None, self.session_budget_nanos or None, self.session_max_repeats or None
        )

    @property
    def proxy_scope(self) -> Scope | None:
        """The gateway's own budget, if it has one."""
        if not self.proxy_budget_nanos and self.max_parallel is None:
            return None
        return Scope(
            kind="proxy",
            id="proxy",
            parallel=self.max_parallel,
            budget_nanos=self.proxy_budget_nanos or None,
            budget_duration=self.proxy_budget_duration,
        )


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a call needs to know, at one moment."""

    groups: dict[str, ModelGroup]
    wildcards: tuple[Wildcard, ...] = ()
    """Most specific first."""
    aliases: dict[str, str] = {}
    hidden: frozenset[str] = frozenset()
    """Aliases that listings leave out."""
    by_id: dict[str, ModelGroup] = {}
    """One-deployment groups by deployment id."""
    teams: dict[str, TeamModels] = {}
    """Models of one team each, by its id."""
    settings: Settings = Settings()
    routing: Routing = Routing()
    caching: Caching | None = None
    """None: no answer is kept."""
    version: int = 0
