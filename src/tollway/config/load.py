"""Settles the configuration from all its sources.

Each setting: flag, `TOLLWAY_*`, database, file, other variables, default.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from tollway.config.caching import answer_storage, caching
from tollway.config.configuration import (
    Alias,
    CallSettings,
    Configuration,
    Credential,
    Environment,
    ModelEntry,
    SecretReader,
    Sourced,
    StoredSettings,
    Written,
    entry_id,
)
from tollway.config.database import check_sharing, settle_database
from tollway.config.findings import Findings
from tollway.config.keys import (
    CREDENTIAL,
    ENVIRONMENT_PREFIX,
    KEY_PARAMS,
    LIBRARY,
    ROUTER,
    SETTINGS,
    TEAM_PARAMS,
    TOP,
    USER_PARAMS,
    Section,
)
from tollway.config.kinds import TEXT
from tollway.config.located import FILE_REFERENCE, REFERENCE, Document, Located, plain, resolve, unset_references
from tollway.config.model_list import read_models, read_params
from tollway.config.overlay import DATABASE, as_notices, blamed, leave_out, misfits, overlaid, withheld_secrets
from tollway.config.problem import ConfigurationError
from tollway.config.redis import settle_redis
from tollway.config.reports import reports
from tollway.config.routing import provider_budgets, routing
from tollway.config.secrets import KeptSecrets, check_key_management
from tollway.config.server import fields_for, server_settings
from tollway.config.sources import CONFIG_VARIABLES, Sources, check_flags, note_variables
from tollway.config.stored import lendable
from tollway.core.snapshot import Settings
from tollway.db.pool import PoolSettings

QUICK_MODEL_FLAGS = frozenset({"model", "alias", "api_base", "api_version", "headers", "temperature", "max_tokens"})
"""Flags that describe one model without a file."""

FLAGS = QUICK_MODEL_FLAGS | {key.name for section in SETTINGS for key in section.keys if key.support == "supported"}
"""Every name `load` takes in `flags`."""

_REFUSED_VARIABLES = frozenset(
    {"PATH", "HOME", "SHELL", "IFS", "ENV", "BASH_ENV", "NODE_OPTIONS", "GCONV_PATH", "OPENSSL_CONF", "SSLKEYLOGFILE"}
)
_REFUSED_PREFIXES = ("LD_", "DYLD_", "PYTHON")

_CALLBACKS = ("callbacks", "success_callback", "failure_callback", "service_callback", "audit_log_callbacks")


def load(
    path: Path | None = None,
    *,
    flags: Mapping[str, Any] | None = None,
    environ: Mapping[str, str],
    reader: SecretReader | None = None,
) -> Configuration:
    """The configuration of this process.

    `path` is the file that a flag names; without one `TOLLWAY_CONFIG` and `CONFIG_FILE_PATH` count, and without those
    there is no file. `flags` are command-line options by setting (`FLAGS`), None where not given. Nothing is written,
    and `environ` is not changed: the caller exports `Configuration.added_environment` if it likes. `reader` remembers
    secrets from one time to the next; None: there is no other time.

    Raises `ConfigurationError` with every problem found.
    """
    flags, reader = flags or {}, reader or KeptSecrets()
    check_flags(flags, FLAGS)
    document = _read(path, environ)
    secrets = reader.read(document.root, flags, environ)
    written = Written(document=document, flags=flags, environ=Environment(environ), secrets=secrets, reader=reader)
    return _settle(written, StoredSettings())


def renewed(configuration: Configuration) -> Configuration | None:
    """The same sources with secrets as they are now; None where they are what they were. Takes its time.

    Raises `ConfigurationError`.
    """
    written = configuration.written
    secrets = written.reader.read(written.document.root, written.flags, written.environ)
    if secrets == written.secrets:
        return None
    return _settle(msgspec.structs.replace(written, secrets=secrets), configuration.stored)


def with_stored(configuration: Configuration, stored: StoredSettings) -> Configuration:
    """The same sources with these settings of the database, instead of those it had.

    Those that are wrong are left out and named, so that they stop nothing: another version may have stored them, or
    something else may have changed since. Raises `ConfigurationError` for what is wrong without them.
    """
    written = configuration.written
    lent = lendable(written.environ, configuration.server, "")
    stored = leave_out(stored, [*withheld_secrets(stored, lent, written), *misfits(stored, written.environ)])
    while True:
        try:
            return _settle(written, stored)
        except ConfigurationError as error:
            if not stored.paths:
                raise
            stored = leave_out(stored, blamed(stored, error.problems))


def _settle(written: Written, stored: StoredSettings) -> Configuration:
    environ, flags, document = written.environ, written.flags, written.document
    findings = Findings()
    source = overlaid(document.root, stored)
    secrets = written.secrets
    findings.notices.extend(secrets.notices)
    added = _added_environment(source, Environment({**environ, **secrets.values}), secrets.texts, findings)
    everywhere = Environment({**environ, **secrets.values, **added})
    root = resolve(source, everywhere, secrets.texts)
    _check(root, findings)
    note_variables(environ, findings)
    sources = Sources(flags=flags, own_environ=environ, environ=everywhere, root=root, findings=findings)
    origins = {
        key.path: sources.settle(key) for section in SETTINGS for key in section.keys if key.support == "supported"
    }
    check_key_management(origins, findings)
    settle_database(origins, everywhere, findings)
    redis = settle_redis(origins, everywhere, findings)
    check_sharing(origins, redis, findings)
    _settle_logging(origins)
    server = server_settings(origins, everywhere, redis.value, findings)
    answers = answer_storage(origins, redis.value, server.data_dir, findings)
    told = _callbacks(root)
    configuration = Configuration(
        server=server,
        pool=PoolSettings(**fields_for(origins, "pool")),
        data_plane=Settings(**fields_for(origins, "data_plane"), reports=reports(told, root)),
        routing=routing(origins, findings),
        answers=answers,
        caching=caching(origins, answers, findings),
        calls=_calls(origins, root, findings),
        models=_models(source, root, flags, findings),
        has_model_list="model_list" in document.root.items,
        aliases=_aliases(origins, root, findings),
        credentials=_credentials(root.items.get("credential_list"), findings),
        default_key_params=_params("default_key_generate_params", KEY_PARAMS, origins, findings),
        upperbound_key_params=_params("upperbound_key_generate_params", KEY_PARAMS, origins, findings),
        default_user_params=_user_params(origins, findings),
        default_team_params=_params("default_team_params", TEAM_PARAMS, origins, findings),
        team_metadata_fields=_team_metadata_fields(origins, findings),
        stores_audit_log=origins["litellm_settings.store_audit_logs"].value,
        public_model_groups=tuple(origins["litellm_settings.public_model_groups"].value or ()),
        callbacks=told,
        environ=everywhere,
        added_environment=added,
        files=document.files,
        origins=origins,
        notices=(*findings.notices, *as_notices(stored)),
        written=written,
        stored=stored,
    )
    if findings.problems:
        raise ConfigurationError(findings.problems)
    return configuration


def _read(path: Path | None, environ: Mapping[str, str]) -> Document:
    named = next((environ[name] for name in CONFIG_VARIABLES if environ.get(name)), None)
    if path is None and named is not None:
        path = Path(named)
    if path is None:
        return Document(Located({}, "", 0), ())
    from tollway.config.document import read_document  # noqa: PLC0415  (YAML takes time; without a file none is read)

    return read_document(path)


def _added_environment(
    root: Located, environ: Mapping[str, str], texts: Mapping[str, str], findings: Findings
) -> Environment:
    """`environment_variables` of file and database, with references to the process's own filled in."""
    added = Environment()
    node = root.items.get("environment_variables")
    if node is None:
        return added
    for name, member in resolve(node, environ, texts).items.items():
        path = f"environment_variables.{name}"
        if name in _REFUSED_VARIABLES or name.startswith(_REFUSED_PREFIXES):
            findings.reject(member.place, path, "decides which code runs and cannot be set here", "remove it")
        elif name.startswith(ENVIRONMENT_PREFIX):
            setting = name.removeprefix(ENVIRONMENT_PREFIX).lower()
            findings.reject(member.place, path, "is a setting", f"write `general_settings: {{{setting}: …}}`")
        elif member.file == DATABASE and environ.get(name):
            continue  # what the process was given stays
        elif isinstance(member.value, bool):
            added[name] = str(member.value)
        elif member.value is not None and (text := findings.read_node(TEXT, member, path)) is not None:
            added[name] = text
    return added


def _check(root: Located, findings: Findings) -> None:
    """Names at the top and in the sections, and references that lead nowhere."""
    findings.check_names(root, TOP, "")
    for section in SETTINGS:
        node = root.items.get(section.name)
        if node is None or node.value is None:
            continue
        if not isinstance(node.value, dict):
            findings.reject(node.place, section.name, "expected a mapping")
            continue
        findings.check_names(node, section, section.name)
    places: dict[str, str] = {}
    for unset in unset_references(root):
        places.setdefault(unset.reference, unset.place)
    for name, place in places.items():
        is_file = name.startswith("/")
        key = f"{FILE_REFERENCE if is_file else REFERENCE}{name}"
        what = "is empty" if is_file else "is not set"
        findings.note(place, key, what, f"{'fill' if is_file else 'set'} {name}, or remove the reference")


def _settle_logging(origins: dict[str, Sourced]) -> None:
    """The short forms count where nobody names a level or format in full."""
    for target, value, shorts in (
        ("general_settings.log_level", "debug", ("general_settings.detailed_debug", "general_settings.debug",
                                                 "litellm_settings.set_verbose")),
        ("general_settings.log_format", "json", ("litellm_settings.json_logs",)),
    ):  # fmt: skip
        given = [origins[name].origin for name in shorts if origins[name].value]
        strongest = min(given, key=_rank, default=None)
        if strongest is not None and _rank(strongest) < _rank(origins[target].origin):
            origins[target] = Sourced(value, strongest)


def _rank(origin: str) -> int:
    """The place of an origin in the precedence; the lowest wins."""
    match origin.partition(" "):
        case ("flag", _, _):
            return 0
        case ("environment", _, name):
            return 1 if name.startswith(ENVIRONMENT_PREFIX) else 3
        case ("default", _, _):
            return 4
        case _:
            return 2


def _calls(origins: Mapping[str, Sourced], root: Located, findings: Findings) -> CallSettings:
    timeout = origins["router_settings.timeout"]
    if timeout.origin == "default":
        timeout = origins["litellm_settings.request_timeout"]
    defaults = root.items.get(ROUTER.name, Located({}, "", 0)).items.get("default_litellm_params")
    path = "router_settings.default_litellm_params"
    params = read_params(defaults, path, findings) if defaults is not None else origins[path].value
    return CallSettings(
        timeout_s=None if timeout.origin == "default" else timeout.value,
        stream_timeout_s=origins["router_settings.stream_timeout"].value,
        verify=origins["litellm_settings.ssl_verify"].value,
        default_params=params,
        drops_params=origins["litellm_settings.drop_params"].value,
        parallel=origins["router_settings.default_max_parallel_requests"].value,
        provider_budgets=provider_budgets(origins, findings),
        skips_invalid=origins["router_settings.ignore_invalid_deployments"].value,
    )


def _models(
    written: Located, resolved: Located, flags: Mapping[str, Any], findings: Findings
) -> tuple[ModelEntry, ...]:
    quick = _quick_model(flags)
    node = resolved.items.get("model_list")
    listed = read_models(written.items["model_list"], node, findings) if node is not None else ()
    return (*quick, *listed)


def _quick_model(flags: Mapping[str, Any]) -> tuple[ModelEntry, ...]:
    given = {name: value for name, value in flags.items() if name in QUICK_MODEL_FLAGS and value is not None}
    if "model" not in given:
        return ()
    params = {name: value for name, value in given.items() if name != "alias"}
    name = given.get("alias") or given["model"]
    return (ModelEntry(model_name=name, litellm_params=params, id=entry_id(name, params), origin="flag --model"),)


def _user_params(origins: Mapping[str, Sourced], findings: Findings) -> dict[str, Any]:
    """What a new user gets. The older settings give way to `default_internal_user_params`."""
    older = {
        field: origins[f"{LIBRARY.name}.{name}"].value
        for name, field in (
            ("default_max_internal_user_budget", "max_budget"),
            ("max_internal_user_budget", "max_budget"),
            ("internal_user_budget_duration", "budget_duration"),
        )
        if origins[f"{LIBRARY.name}.{name}"].value is not None
    }
    params = older | _params("default_internal_user_params", USER_PARAMS, origins, findings)
    for team in params.get("teams") or ():
        if not (isinstance(team, str) or (isinstance(team, dict) and isinstance(team.get("team_id"), str))):
            path = f"{LIBRARY.name}.default_internal_user_params"
            findings.reject(
                origins[path].origin,
                f"{path}.teams",
                "expected ids of teams, or `{team_id: id, max_budget_in_team: 5}`",
            )
    return params


def _params(name: str, known: Section, origins: Mapping[str, Sourced], findings: Findings) -> dict[str, Any]:
    """Budgets and limits of new keys, users and teams: a mistyped one would be no limit at all."""
    setting = origins[f"{LIBRARY.name}.{name}"]
    params = {}
    for field, value in setting.value.items():
        key, path = known.find(field), f"{LIBRARY.name}.{name}.{field}"
        if key is None:
            findings.report_unknown(setting.origin, path, field, known.by_name)
        elif key.support == "later":
            findings.note(setting.origin, path, "has no effect in this release", key.remedy)
        elif value is not None:
            params[field] = findings.read(key.kind, value, place=setting.origin, path=path)
    return params


def _team_metadata_fields(origins: Mapping[str, Sourced], findings: Findings) -> tuple[Mapping[str, str], ...]:
    setting = origins["general_settings.team_metadata_schema"]
    fields = []
    for index, entry in enumerate(setting.value):
        match entry:
            case {"key": str(key)} if isinstance(entry.get("label", key), str):
                fields.append({"key": key, "label": entry.get("label", key)})
            case _:
                path = f"general_settings.team_metadata_schema[{index}]"
                findings.reject(setting.origin, path, "expected `{key: name, label: text}`")
    return tuple(fields)


def _aliases(origins: Mapping[str, Sourced], root: Located, findings: Findings) -> tuple[Alias, ...]:
    setting = origins["router_settings.model_group_alias"]
    section = root.items.get(ROUTER.name, Located({}, "", 0)).items
    places = section["model_group_alias"].items if "model_group_alias" in section else {}
    aliases = []
    for name, target in setting.value.items():
        place = places[name].place if name in places else setting.origin
        match target:
            case str() | {"model": str()}:
                details = {"model": target} if isinstance(target, str) else target
                is_hidden = details.get("hidden") is True
                aliases.append(Alias(name=name, target=details["model"], is_hidden=is_hidden, place=place))
            case _:
                path = f"router_settings.model_group_alias.{name}"
                findings.reject(place, path, "expected a model name, or `{model: name, hidden: true}`")
    return tuple(aliases)


def _credentials(node: Located | None, findings: Findings) -> dict[str, Credential]:
    credentials: dict[str, Credential] = {}
    listed = node.value if node is not None and node.value is not None else []
    if not isinstance(listed, list):
        findings.reject(node.place if node else "", "credential_list", "expected a list, each with `credential_name`")
        return credentials
    for index, member in enumerate(listed):
        path = f"credential_list[{index}]"
        findings.check_names(member, CREDENTIAL, path)
        name = plain(member.items["credential_name"]) if "credential_name" in member.items else None
        values = member.items.get("credential_values")
        if not isinstance(name, str) or not name or values is None or not isinstance(values.value, dict):
            findings.reject(member.place, path, "expected `credential_name` and `credential_values`")
        elif name in credentials:
            findings.reject(member.place, path, f"there is another credential called {name}")
        else:
            info = plain(member.items["credential_info"]) if "credential_info" in member.items else None
            read = read_params(values, f"{path}.credential_values", findings)
            credentials[name] = Credential(name=name, values=read, info=info if isinstance(info, dict) else {})
    return credentials


def _callbacks(root: Located) -> dict[str, tuple[str, ...]]:
    section = root.items.get(LIBRARY.name, Located({}, "", 0)).items
    given = {name: plain(section[name]) for name in _CALLBACKS if name in section}
    return {name: tuple([value] if isinstance(value, str) else value) for name, value in given.items() if value}
