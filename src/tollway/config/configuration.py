"""A configuration as it was settled: complete, immutable, every value with its origin."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

import msgspec
from typing_extensions import override

from tollway.config.located import Document, Located
from tollway.config.problem import Problem
from tollway.config.secret import Secret
from tollway.core.bucket import Bucket
from tollway.core.caching import Caching
from tollway.core.redis import RedisAddress
from tollway.core.routing import Routing
from tollway.core.snapshot import Settings
from tollway.db.pool import PoolSettings

WELL_KNOWN_MASTER_KEYS = frozenset({"sk-1234", "sk-12345", "sk-123456", "sk-master", "sk-test", "1234"})
"""Keys out of guides and examples: the first that an attacker tries."""


class Sourced(msgspec.Struct, frozen=True):
    """A value and who said so."""

    value: Any
    origin: str
    """`flag --port`, `environment TOLLWAY_PORT`, `database`, `config.yaml:12`, `default`."""


AnswerKind = Literal["local", "redis", "disk", "database", "s3", "local-semantic", "pgvector-semantic"]


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the process itself is told. Times are seconds."""

    host: str
    port: int
    workers: int
    ssl_keyfile: str | None
    ssl_certfile: str | None
    ssl_certificate: str | None
    """What providers are shown that ask who we are."""
    keepalive_s: float
    drain_grace_s: float
    root_path: str
    log_level: str
    log_format: Literal["text", "json"]
    data_dir: Path
    database_url: Secret | None
    """None: an SQLite file in `data_dir`."""
    master_key: Secret | None
    """None: to be generated and kept in `data_dir`."""
    salt_key: Secret | None
    """None: to be generated and kept in `data_dir`."""
    allow_weak_master_key: bool
    stores_models: bool
    journal_fsync: bool
    rotates_keys: bool
    rotation_check_s: float
    rotation_grace: str | None
    """Duration; None: nobody said."""
    records_kept: str | None
    """Duration of a day or more; None: for good."""
    retention_interval: str
    """Duration."""
    retention_batch_size: int
    replicas: int
    """Processes that share the limits, at least."""
    counters_timeout_s: float
    """For an answer of the shared counters, behind which a call waits; then they count as away."""
    max_memory_bytes: int | None
    """Of one process; None: nobody said."""
    redis: RedisAddress | None = None
    """What replicas share beside the database; None: nobody named one."""

    @property
    def has_well_known_master_key(self) -> bool:
        """Whether anybody could guess the master key."""
        return self.master_key in WELL_KNOWN_MASTER_KEYS


class AnswerStorage(msgspec.Struct, frozen=True, kw_only=True):
    """Where answers are kept for the next who ask the same."""

    kind: AnswerKind
    redis: RedisAddress | None
    """For `redis`."""
    timeout_s: float
    """The longest wait of a call for that server, database or bucket."""
    max_bytes: int
    """In memory, on disk, or in the database."""
    folder: Path
    """For `disk`."""
    bucket: Bucket | None = None
    """For `s3`."""

    @property
    def is_semantic(self) -> bool:
        """Whether answers are found by meaning too."""
        return self.kind.endswith("-semantic")


class ModelEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One element of `model_list`, with environment variables filled in."""

    model_name: str
    litellm_params: Mapping[str, Any]
    model_info: Mapping[str, Any] = {}
    id: str
    """`model_info.id`, else a hash over name and parameters as written, the same after every restart."""
    origin: str
    """`config.yaml:12`, `environment OPENAI_API_KEY`."""
    places: Mapping[str, str] = {}
    """Where each parameter was written."""
    vendors: frozenset[str] | None = None
    """For a name that matches anything: the providers it may lead to; None: all."""
    team_id: str | None = None
    """The only team that may call it."""
    is_stored: bool = False
    """It comes from the database."""


class Credential(msgspec.Struct, frozen=True, kw_only=True):
    """Parameters of a connection under a name, with environment variables filled in."""

    name: str
    values: Mapping[str, Any]
    info: Mapping[str, Any] = {}


class Additions(msgspec.Struct, frozen=True, kw_only=True):
    """What the database adds to a configuration."""

    models: tuple[ModelEntry, ...] = ()
    credentials: Mapping[str, Credential] = {}
    notices: tuple[Problem, ...] = ()
    """What cannot be used of it, and why."""


class StoredSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of the database: one more source beside flags, environment and file."""

    values: Mapping[str, Mapping[str, Any]] = {}
    """By section and name, as in a file: references to the environment as written, what was sealed opened."""
    left_out: tuple[Problem, ...] = ()
    """What cannot be used of them, and why."""

    @property
    def paths(self) -> list[str]:
        """`general_settings.alerting`, …"""
        return [f"{section}.{name}" for section, settings in self.values.items() for name in settings]

    @override
    def __repr__(self) -> str:
        return f"<{len(self.paths)} settings of the database>"  # not for printing: they hold secrets


class Alias(msgspec.Struct, frozen=True):
    """Another name of a model group."""

    name: str
    target: str
    is_hidden: bool
    place: str


class CallSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What holds for every deployment that does not say otherwise."""

    timeout_s: float | None
    """None: nobody said; the data plane's own limits apply."""
    stream_timeout_s: float | None
    verify: bool | str
    default_params: Mapping[str, Any]
    drops_params: bool
    """What a provider cannot be told is left out rather than refused."""
    parallel: int | None
    """Calls at once of a deployment that does not say otherwise."""
    provider_budgets: Mapping[str, Mapping[str, Any]]
    """By provider: fields of the scope that its deployments share."""
    skips_invalid: bool
    """A model that is wrong is left out and named, instead of refusing to start."""


class Environment(dict[str, str]):
    """Environment variables. Not for printing: they hold provider keys."""

    @override
    def __repr__(self) -> str:
        return f"<{len(self)} environment variables>"


class Secrets(msgspec.Struct, frozen=True, kw_only=True):
    """What stands where a file refers to secrets of others."""

    values: Environment = Environment()
    """Of the secret manager, by name."""
    texts: Environment = Environment()
    """Of files, by path."""
    refresh_s: float | None = None
    """How often they are read again; None: there are none."""
    notices: tuple[Problem, ...] = ()
    """What could not be read this time."""


class SecretReader(Protocol):
    """Reads secrets of others, and remembers the last good ones."""

    def read(self, root: Located, flags: Mapping[str, Any], environ: Mapping[str, str]) -> Secrets:
        """Those that a configuration refers to. Takes its time. Raises `ConfigurationError`."""
        ...


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """The sources as they were read, so that they can be settled again. Not for printing: they hold secrets."""

    document: Document
    """The file."""
    flags: Mapping[str, Any]
    environ: Environment
    """The process's own variables."""
    secrets: Secrets
    reader: SecretReader
    """Who had read them."""

    @override
    def __repr__(self) -> str:
        return f"<what {len(self.document.files)} files, {len(self.flags)} flags and the environment say>"


class Configuration(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the operator decided."""

    server: ServerSettings
    pool: PoolSettings
    data_plane: Settings
    routing: Routing
    answers: AnswerStorage | None
    """None: no answer is kept."""
    caching: Caching | None
    calls: CallSettings
    models: tuple[ModelEntry, ...]
    has_model_list: bool
    """Whether a file says which models there are; otherwise what the environment offers is used."""
    aliases: tuple[Alias, ...]
    credentials: Mapping[str, Credential]
    """By name."""
    default_key_params: Mapping[str, Any]
    upperbound_key_params: Mapping[str, Any]
    stores_audit_log: bool
    public_model_groups: Sequence[str]
    """Names that are shown to everybody, without a key."""
    default_team_params: Mapping[str, Any]
    team_metadata_fields: Sequence[Mapping[str, str]]
    """Entries of `team_metadata_schema`, each with `key` and `label`."""
    default_user_params: Mapping[str, Any]
    """What a new user gets: fields of `/user/new` under their names there."""
    callbacks: Mapping[str, Sequence[str]]
    """As written, by key (`success_callback`, …)."""
    environ: Environment
    """The process's variables and those that file and database add."""
    added_environment: Environment
    """What file and database add."""
    files: tuple[Path, ...]
    """Every file that was read; the main one first."""
    origins: Mapping[str, Sourced]
    """Every setting by path (`general_settings.port`)."""
    notices: tuple[Problem, ...]
    """What an operator ought to know although it stops nothing."""
    written: Written
    stored: StoredSettings = StoredSettings()
    """What of the database counts."""

    @property
    def warnings(self) -> str:
        """All notices as one text; empty if there are none."""
        return combine(self.notices)


def combine(notices: Sequence[Problem]) -> str:
    """One warning that says everything; empty if there is nothing to say."""
    if not notices:
        return ""
    return "\n".join(("About this configuration:", *(f"  {notice}" for notice in notices)))


def entry_id(model_name: str, written_params: Mapping[str, Any], occurrence: int = 0) -> str:
    """The id of a deployment that was given none: SHA-256 over what was written, so that restarts do not change it.

    References to the environment count as written: a rotated key is still the same deployment. `occurrence` tells
    entries apart that are equal to the letter.
    """
    content = [model_name, written_params, *([occurrence] if occurrence else [])]
    return hashlib.sha256(msgspec.json.encode(content, order="deterministic")).hexdigest()
