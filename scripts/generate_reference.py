"""Writes `docs/reference/`: settings, variables, routes, providers, metrics, errors, prices and commands, as the code
has them. `--check` writes nothing and exits with 1 if a page is not what the code says."""

from __future__ import annotations

import ast
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, get_args

import click

from tollway import providers as vendors
from tollway.accounting.price_book import FREE_PROVIDERS, PriceBook
from tollway.cli import main as tollway_command
from tollway.cli.gateway import _KEY_VARIABLES, _URL_VARIABLES
from tollway.config.keys import SECTIONS, SETTINGS, VARIABLES, Key
from tollway.config.sources import CONFIG_VARIABLES
from tollway.control.api import RESOURCES, role_matrix
from tollway.control.kit.roles import ANY_KEY, Roles
from tollway.core.errors import TollwayError
from tollway.core.principal import GrantKind, Role
from tollway.core.snapshot import GENERATIVE, OPERATIONS, Operation
from tollway.dataplane.routes import ROUTES, SOCKETS
from tollway.dialects.generation.losses import LossKind
from tollway.dialects.openai.errors import _BY_STATUS
from tollway.dialects.repair import REPAIRS
from tollway.observability.counts import LATENCY_BUCKETS, TOKEN_LATENCY_BUCKETS, Reading
from tollway.observability.exposition import _KEY, COUNTERS, DEPLOYMENT_GAUGES, GAUGE_MEANINGS, HISTOGRAMS, _lines
from tollway.providers import table as vendor_table

CLONE = Path(__file__).resolve().parent.parent
TARGET = CLONE / "docs" / "reference"
SOURCE = CLONE / "src" / "tollway"
AGENTS = CLONE / "tests" / "clients" / "agents"

_NOTE = "<!-- Written by `make docs` (scripts/generate_reference.py) from the code. Change the code, not this page. -->"


# ---- Markdown -------------------------------------------------------------------------------------------------------


def code(text: object) -> str:
    """Monospaced, or nothing."""
    return f"`{text}`" if text not in (None, "") else ""


def codes(names: Iterable[object]) -> str:
    """Several of them."""
    return ", ".join(code(name) for name in names)


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """A table; what would break a cell is escaped."""
    yield f"| {' | '.join(header)} |"
    yield f"|{'|'.join('---' for _ in header)}|"
    for row in rows:
        yield f"| {' | '.join(_cell(value) for value in row)} |"
    yield ""


def first_line(text: str | None) -> str:
    """The summary of a docstring."""
    return " ".join((text or "").strip().split("\n\n")[0].split())


def _cell(value: object) -> str:
    return " ".join(str(value).replace("|", "\\|").split()) if value is not None else ""


# ---- configuration --------------------------------------------------------------------------------------------------


def configuration() -> Iterator[str]:
    """Every key of `config.yaml`."""
    yield "# Configuration keys"
    yield ""
    yield "Every key that `config.yaml` may hold. How the sources of a setting are weighed is told in"
    yield "[Configuration](../guides/configuration.md). Keys marked † are Tollway's own; all others are LiteLLM's."
    yield ""
    for section in SECTIONS:
        yield f"## {code(section.name) if section.name else 'Top level'}"
        yield ""
        yield from _supported_keys([key for key in section.keys if key.support == "supported"])
        yield from _idle_keys(
            "Accepted: there is nothing to do, whatever they say.",
            [key for key in section.keys if key.support == "accepted"],
            "",
        )
        yield from _idle_keys(
            "Without effect in this release; a warning at start names those that ask for something.",
            [key for key in section.keys if key.support == "later"],
            "Instead",
        )


def _supported_keys(keys: Sequence[Key]) -> Iterator[str]:
    if keys:
        yield from table(
            ("Key", "Takes", "Default", "Also set by", "Meaning"),
            (
                (
                    code(key.name) + (" †" if key.is_own else ""),
                    key.kind.name,
                    _default(key),
                    _twins(key),
                    _meaning(key),
                )
                for key in keys
            ),
        )


def _idle_keys(sentence: str, keys: Sequence[Key], remedy: str) -> Iterator[str]:
    if not keys:
        return
    yield sentence
    yield ""
    rows = ((code(key.name), key.meaning, key.remedy) for key in keys)
    if remedy:
        yield from table(("Key", "Meaning", remedy), rows)
    else:
        yield from table(("Key", "Meaning"), (row[:2] for row in rows))


def _meaning(key: Key) -> str:
    if not key.supported_values:
        return str(key.meaning)
    return f"{key.meaning} In this release: {codes(sorted(key.supported_values))}."


def _default(key: Key) -> str:
    if key.default is None or key.default in ("", [], {}):
        return ""
    if isinstance(key.default, bool):
        return code(str(key.default).lower())
    return code(", ".join(map(str, key.default)) if isinstance(key.default, list) else key.default)


def _is_setting(key: Key) -> bool:
    return any(key.section == section.name for section in SETTINGS)


def _twins(key: Key) -> str:
    return codes(name for name in (key.flag, key.twin if _is_setting(key) else "", *key.environment) if name)


# ---- environment ----------------------------------------------------------------------------------------------------


def environment() -> Iterator[str]:
    """Every environment variable."""
    yield "# Environment variables"
    yield ""
    yield "An empty variable counts as not set. `.env` files are not read."
    yield ""
    yield "## Settings"
    yield ""
    yield "A `TOLLWAY_` variable wins over the file; the names in the last column yield to it."
    yield ""
    yield from table(
        ("Variable", "Setting", "Takes", "Yields to the file"),
        (
            (code(key.twin), code(key.path), key.kind.name, codes(key.environment))
            for section in SETTINGS
            for key in section.keys
            if key.support == "supported" and key.twin
        ),
    )
    yield "## Everything else"
    yield ""
    rows: list[tuple[str, str]] = [
        (codes(CONFIG_VARIABLES), "The configuration file, where `--config` is not given."),
        (
            codes(f"DATABASE_{part}" for part in ("HOST", "PORT", "NAME", "USERNAME", "USER", "PASSWORD", "SCHEMA")),
            "The database in parts, where no `DATABASE_URL` is given.",
        ),
        (code("XDG_DATA_HOME"), "Where the data folder is made (`$XDG_DATA_HOME/tollway`), unless it is named."),
        (codes(_URL_VARIABLES), "`tollway keys`, `users` and `teams`: the gateway to talk to."),
        (codes(_KEY_VARIABLES), "`tollway keys`, `users` and `teams`: the master key."),
    ]
    rows += [
        (code(variable.name), variable.meaning)
        for variable in VARIABLES
        if variable.support == "supported" and variable.name not in CONFIG_VARIABLES
    ]
    yield from table(("Variable", "Meaning"), rows)
    yield "Accepted, with nothing to do: " + codes(v.name for v in VARIABLES if v.support == "accepted") + "."
    yield ""
    yield "Without effect in this release; a warning at start names those that are set."
    yield ""
    yield from table(
        ("Variable", "Meaning", "Instead"),
        ((code(v.name), v.meaning, v.remedy) for v in VARIABLES if v.support == "later"),
    )
    yield "## Providers"
    yield ""
    yield "The first variable of a row that is set counts. See [Providers](providers.md)."
    yield ""
    yield from table(
        ("Provider", "Key", "Address"),
        (
            (code(name), codes(row.key_env), codes(row.base_env))
            for name in vendors.names()
            if (row := vendors.find(name)) and (row.key_env or row.base_env)
        ),
    )


# ---- routes ---------------------------------------------------------------------------------------------------------


def routes() -> Iterator[str]:
    """Every path that is served, and who may call it."""
    yield "# Routes"
    yield ""
    yield "`GET /openapi.json` has the same with every field; `/` shows it to read and to try."
    yield ""
    yield "## Inference, health and metrics"
    yield ""
    yield "*key*: any valid key whose `allowed_routes` cover the path. *open*: no key is needed."
    yield ""
    yield from table(
        ("Method", "Path", "Who", "What"),
        (
            (route.method, code(route.path), "open" if route.role == "public" else "key", route.summary)
            for route in (*ROUTES, *SOCKETS)
        ),
    )
    yield "## Management"
    yield ""
    yield "Who may enter, by [role](../guides/people-and-budgets.md#roles). Whoever enters sees and changes what is"
    yield "theirs. Which fields of a body each may set is in the `permissions.py` of each resource, under"
    yield "`src/tollway/control/`."
    yield ""
    yield from table(
        ("Who", "That is"),
        (
            ("open", "No key is needed."),
            ("key", "Any valid key."),
            ("admin", "The master key, and users who are `proxy_admin`."),
            ("viewer", "`proxy_admin_viewer`."),
            ("org admin, team admin", "Of an organization, of a team: for what belongs to it."),
            ("user", "`internal_user`, and keys that belong to nobody."),
            ("user viewer", "`internal_user_viewer`."),
            ("team key", "A key of a team that belongs to no user."),
        ),
    )
    by_resource: dict[str, list[tuple[str, str, str, str]]] = {}
    for resource, *row in management_routes():
        by_resource.setdefault(resource, []).append((row[0], row[1], row[2], row[3]))
    for resource, rows in by_resource.items():
        yield f"### {resource}"
        yield ""
        yield from table(("Method", "Path", "Who", "What"), rows)


def management_routes() -> Iterator[tuple[str, str, str, str, str]]:
    """Resource, method, path, who may call, what it does."""
    matrix = role_matrix()
    for resource in RESOURCES:
        name = str(resource.router.tags[0]).capitalize() if resource.router.tags else "About the gateway"
        routes: Sequence[Any] = resource.router.routes
        for route in routes:
            for method in sorted(route.methods - {"HEAD"}):
                who = _who(matrix[method, route.path].roles)
                yield name, method, code(route.path), who, first_line(route.endpoint.__doc__)


_ROLE_NAMES = {
    Role.PROXY_ADMIN: "admin",
    Role.PROXY_ADMIN_VIEWER: "viewer",
    Role.ORG_ADMIN: "org admin",
    Role.TEAM_ADMIN: "team admin",
    Role.INTERNAL_USER: "user",
    Role.INTERNAL_USER_VIEWER: "user viewer",
    Role.TEAM: "team key",
}


def _who(roles: Roles | None) -> str:
    """Roles in few words."""
    named = {None: "open", ANY_KEY: "key"}
    return named.get(roles) or ", ".join(name for role, name in _ROLE_NAMES.items() if role in (roles or ()))


# ---- providers ------------------------------------------------------------------------------------------------------


def providers() -> Iterator[str]:
    """Every vendor that can be called."""
    names = vendors.names()
    yield "# Providers"
    yield ""
    yield f"The {len(names)} providers that stand before the slash in `model: provider/name`. Operations that a row"
    yield "does not name were not found documented. *Usage in streams*: whether `stream_options.include_usage` is asked"
    yield "for; where it is not, and the vendor sends none unasked, the gateway counts the stream. *Read*: when the"
    yield "vendor's page was last read."
    yield ""
    yield from table(
        ("Name", "Provider", "Address", "Operations", "Usage in streams", "Read"),
        (
            (
                code(name),
                f"[{row.title}]({row.docs})" if row.docs.startswith("http") else row.title,
                code(row.base_url) or "`api_base` is needed",
                ", ".join(operation for operation in OPERATIONS if operation in row.operations),
                "asked for" if row.sends_stream_usage else "not asked for",
                row.checked,
            )
            for name in names
            if (row := vendors.find(name))
        ),
    )
    yield "## Other names"
    yield ""
    yield from table(
        ("Name", "Stands for"), ((code(alias), code(name)) for alias, name in sorted(vendor_table.ALIASES.items()))
    )
    yield "## Known, not callable yet"
    yield ""
    yield from table(("Name", "Why"), ((code(name), why) for name, why in sorted(vendor_table.LATER.items())))


# ---- formats --------------------------------------------------------------------------------------------------------

_CALLERS: dict[Operation, str] = {
    "chat": "OpenAI chat",
    "responses": "OpenAI Responses",
    "messages": "Anthropic Messages",
    "gemini": "Gemini generateContent",
    "completions": "OpenAI completions",
}
_SPOKEN: dict[Operation, str] = _CALLERS | {"converse": "Bedrock Converse", "cohere": "Cohere v2", "ollama": "Ollama"}


def formats() -> Iterator[str]:
    """Who is asked in what, and what may be lost."""
    providers_ = [row for name in vendors.names() if (row := vendors.find(name))]
    spoken = [one for one in OPERATIONS if one in GENERATIVE and any(one in row.operations for row in providers_)]
    yield "# Formats"
    yield ""
    yield "Rows: what a caller speaks. Columns: what a vendor is asked in. *Untouched*: byte for byte, apart from the"
    yield "model's name and the gateway's own fields. *Translated*: once, through the neutral form."
    yield ""
    yield from table(
        ("Caller", *(_SPOKEN[one] for one in spoken)),
        (
            (name, *("untouched" if caller == one else "-" if one == "completions" else "translated" for one in spoken))
            for caller, name in _CALLERS.items()
        ),
    )
    yield "## Vendors"
    yield ""
    yield "Formats that each vendor is asked in. A caller's own goes first; of the others, the first that is named."
    yield "Vendors that are not named speak OpenAI chat."
    yield ""
    only_chat = {"chat", "completions", "embeddings"}
    yield from table(
        ("Vendor", "Formats"),
        (
            (code(row.name), ", ".join(_SPOKEN[one] for one in OPERATIONS if one in row.operations and one in _SPOKEN))
            for row in providers_
            if not row.operations <= only_chat
        ),
    )
    yield "## Agents and frameworks"
    yield ""
    yield "Requests in the shape that each of these sends are replayed in the tests (`tests/clients/agents`) against"
    yield "vendors of every format; each gets a stream that is legal in its own."
    yield ""
    yield "*Real client*: this version runs in the tests itself, over a vendor of its own format and one of another"
    yield "(`tests/clients/test_real_agents.py`). It is asked for what a file says, calls a tool, and answers with the"
    yield "result. [Agents](../guides/agents.md) has the settings of each."
    yield ""
    versions = json.loads((AGENTS.parent / "package.json").read_text("utf-8"))["dependencies"]
    yield from table(
        ("Client", "Real client", "Route", *(_SPOKEN[one] for one in spoken if one != "completions")),
        (
            (
                agent["client"],
                versions[agent["package"]] if "package" in agent else "",
                code(agent["path"].partition("?")[0]),
                *("untouched" if agent["operation"] == one else "translated" for one in spoken if one != "completions"),
            )
            for file in sorted(AGENTS.glob("*.json"))
            if (agent := json.loads(file.read_text("utf-8")))
        ),
    )
    yield "## Losses"
    yield ""
    yield "What a vendor's format cannot say. *Refused*: with 400, unless `drop_params` is set. *Dropped*: left out."
    yield "Both are named in the header `x-tollway-dropped`."
    yield ""
    yield from table(
        ("Kind", "What", ""),
        ((code(kind.name.lower()), kind.meaning, "refused" if kind.is_refused else "dropped") for kind in LossKind),
    )
    yield "## Repairs"
    yield ""
    yield "What is done about translated requests that a vendor would refuse, with `litellm_settings.modify_params`."
    yield "Each is named in the header `x-tollway-repaired`."
    yield ""
    yield from table(("Repair", "What"), ((code(name), meaning) for name, meaning in REPAIRS.items()))


# ---- metrics --------------------------------------------------------------------------------------------------------


def metrics() -> Iterator[str]:
    """Every series of `/metrics`."""
    labels = {f"{row.name}_total": row.labels for row in COUNTERS} | {row.name: row.labels for row in HISTOGRAMS}
    labels |= dict.fromkeys(("litellm_remaining_api_key_budget_metric", "litellm_api_key_max_budget_metric"), _KEY)
    labels |= {row.name: row.labels for row in DEPLOYMENT_GAUGES}
    labels["tollway_soft_budgets_crossed_total"] = ("scope",)
    nothing = Reading(
        counts=(),
        key_budgets={},
        soft_budgets_crossed={},
        in_flight=0,
        folded_calls=0,
        gauges=dict.fromkeys(GAUGE_MEANINGS, 0.0),
        workers=1,
    )
    lines = "".join(_lines(nothing)).splitlines()
    meanings = dict(line.removeprefix("# HELP ").split(" ", 1) for line in lines if line.startswith("# HELP "))
    types = dict(line.removeprefix("# TYPE ").split(" ", 1) for line in lines if line.startswith("# TYPE "))
    yield "# Metrics"
    yield ""
    yield "What `GET /metrics` shows, with LiteLLM's names and labels where it has them. The figures of the process and"
    yield "of the interpreter (`process_…`, `python_…`) follow. Labels whose value nobody knows are `None`; past 10,000"
    yield "label tuples all further ones are counted as `other`. `end_user`, `client_ip` and `user_agent` are never"
    yield "filled in this release, because nothing bounds their number. Any of several workers shows the sum of all,"
    yield "with the others' part up to a second old."
    yield ""
    yield from table(
        ("Series", "Type", "Meaning", "Labels"),
        ((code(name), types[name], meanings[name], codes(labels.get(name, ()))) for name in meanings),
    )
    yield f"Buckets of latencies, in seconds: {', '.join(map(str, LATENCY_BUCKETS))}; of the time per token:"
    yield f"{', '.join(map(str, TOKEN_LATENCY_BUCKETS))}."
    yield ""


# ---- errors ---------------------------------------------------------------------------------------------------------


def error_classes() -> list[type[Any]]:
    """Every class of error that can reach a caller, parents first."""
    for module in ("tollway.policy.access", "tollway.dataplane.listing"):
        import_module(module)

    def below(error: type[Any]) -> Iterator[type[Any]]:
        yield error
        for child in sorted(error.__subclasses__(), key=lambda one: one.__name__):
            yield from below(child)

    return [error for error in below(TollwayError) if error.__module__.startswith("tollway.")]


def error_types() -> dict[str, set[str]]:
    """Every `type` on the wire, and the statuses it comes with: of the classes, and where the code says another."""
    classes = {error.__name__: error for error in error_classes()}
    types: dict[str, set[str]] = {}
    for error in classes.values():
        types.setdefault(error.type, set()).add(str(error.status))
    for status, type_, _name in _BY_STATUS.values():
        types.setdefault(type_, set()).add(str(status))
    for kind in get_args(GrantKind):
        types.setdefault(f"{kind}_model_access_denied", set()).add("403")
    for path in sorted(SOURCE.rglob("*.py")):
        for call in (node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call)):
            if isinstance(call.func, ast.Name) and call.func.id in classes:
                given = {keyword.arg: keyword.value for keyword in call.keywords}
                if isinstance(said := given.get("type"), ast.Constant):
                    status = _status(given.get("status"), path) or classes[call.func.id].status
                    types.setdefault(str(said.value), set()).add(str(status))
    return types


def _status(said: ast.expr | None, path: Path) -> object:
    """The status an error is made with: a number, or a constant of its module."""
    if isinstance(said, ast.Name):
        module = ".".join(path.relative_to(SOURCE.parent).with_suffix("").parts)
        return getattr(import_module(module), said.id, None)
    return said.value if isinstance(said, ast.Constant) else None


def errors() -> Iterator[str]:
    """Every error."""
    yield "# Errors"
    yield ""
    yield 'Errors are `{"error": {"message", "type", "param", "code"}}`, `code` being the status as text. What to do'
    yield "about each is told in [Errors](../guides/errors.md)."
    yield ""
    yield "## Types"
    yield ""
    yield from table(
        ("`type`", "Statuses"),
        ((code(name), ", ".join(sorted(found))) for name, found in sorted(error_types().items())),
    )
    yield "## Classes"
    yield ""
    yield from table(
        ("Class", "Status", "`type`", "Meaning"),
        (
            (code(error.__name__), error.status, code(error.type), first_line(error.__doc__))
            for error in error_classes()
        ),
    )
    yield "## What a provider's status becomes"
    yield ""
    yield "The names in the last column begin the message and are the label `exception_class` of the metrics. Other"
    yield "statuses keep their number: from 500 on as `internal_server_error`, below as `invalid_request_error`."
    yield ""
    yield from table(
        ("Provider's", "Client's", "`type`", "Name"),
        ((theirs, ours, code(type_), code(name)) for theirs, (ours, type_, name) in sorted(_BY_STATUS.items())),
    )


# ---- prices ---------------------------------------------------------------------------------------------------------


def prices() -> Iterator[str]:
    """What the price book holds."""
    book = PriceBook.load()
    yield "# Prices"
    yield ""
    yield f"The price book of this release is as of {book.as_of}. It was compiled from {codes(book.sources)} by"
    yield "`scripts/prices/compile.py`, and corrected by `scripts/prices/overlay.yaml`. Nothing is fetched at run time."
    yield "*Priced*: models whose price is known. *Callable*: whether this release calls the provider."
    yield ""
    names = set(vendors.names())
    counts: Counter[str] = Counter()
    rows = []
    for provider in book.providers():
        facts = [book.find(provider, model) for model in book.models(provider)]
        priced = sum(1 for one in facts if one is not None and one.price.is_known)
        counts.update(models=len(facts), priced=priced)
        rows.append((code(provider), len(facts), priced, "yes" if provider in names else ""))
    yield from table(("Provider", "Models", "Priced", "Callable"), rows)
    yield f"Together {counts['models']:,} models, {counts['priced']:,} of them priced."
    yield ""
    yield f"Free, whatever the model, because nobody sends a bill per token: {codes(sorted(FREE_PROVIDERS))}."
    yield ""


# ---- command line ---------------------------------------------------------------------------------------------------


def command_line() -> Iterator[str]:
    """Every command and option."""
    yield "# Command line"
    yield ""
    yield "The same is in `tollway COMMAND --help`."
    yield ""
    for path, command in _commands(tollway_command, "tollway"):
        yield from _command(path, command)


def _commands(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            yield from _commands(child, f"{path} {name}")


def _command(path: str, command: click.Command) -> Iterator[str]:
    arguments = [param for param in command.params if isinstance(param, click.Argument)]
    options = [param for param in command.params if isinstance(param, click.Option)]
    parts = [path, *(_metavar(argument) for argument in arguments)]
    if isinstance(command, click.Group):
        parts.append("COMMAND")
    yield f"## {code(path)}"
    yield ""
    yield from ("```text", " ".join([*parts, "[OPTIONS]"]), "```", "")
    text = (command.help or "").partition("\b")[0]
    yield from (line for paragraph in text.split("\n\n") for line in (" ".join(paragraph.split()), ""))
    shown = [option for option in options if not option.hidden]
    if shown:
        yield from table(
            ("Option", "Takes", "Meaning"),
            ((codes(_names(option)), _takes(option), option.help or "") for option in shown),
        )
    hidden = [option for option in options if option.hidden]
    if hidden:
        yield "Taken as well, so that scripts keep working: " + ", ".join(codes(_names(one)) for one in hidden) + "."
        yield ""


def _metavar(argument: click.Argument) -> str:
    name = argument.metavar or (argument.name or "").upper()
    return name if argument.required else f"[{name}]"


def _names(option: click.Option) -> list[str]:
    return [*option.opts, *option.secondary_opts]


def _takes(option: click.Option) -> str:
    if option.is_flag:
        return ""
    if isinstance(option.type, click.Choice):
        return codes(option.type.choices)
    return {"text": "text", "integer": "a whole number", "float": "a number", "path": "a path"}.get(
        option.type.name, option.type.name
    )


# ---- writing --------------------------------------------------------------------------------------------------------

PAGES: dict[str, Callable[[], Iterator[str]]] = {
    "configuration.md": configuration,
    "environment.md": environment,
    "routes.md": routes,
    "providers.md": providers,
    "formats.md": formats,
    "metrics.md": metrics,
    "errors.md": errors,
    "prices.md": prices,
    "command-line.md": command_line,
}


def render(name: str) -> str:
    """A page as it should be."""
    return "\n".join([_NOTE, "", *PAGES[name]()]).rstrip() + "\n"


def drifted() -> list[str]:
    """Pages that are not what the code says."""
    return [
        name for name in PAGES if not (TARGET / name).is_file() or (TARGET / name).read_text("utf-8") != render(name)
    ]


def main() -> int:
    """Writes, or checks."""
    if "--check" in sys.argv[1:]:
        wrong = drifted()
        if wrong:
            print(f"docs/reference: {', '.join(wrong)} not up to date; run `make docs`", file=sys.stderr)
        return 1 if wrong else 0
    TARGET.mkdir(parents=True, exist_ok=True)
    for name in PAGES:
        (TARGET / name).write_text(render(name), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
