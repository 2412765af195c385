from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from tollway.config.configuration import Configuration, StoredSettings
from tollway.config.keys import SETTINGS
from tollway.config.keys.over_api import AT_START, WITHHELD, setting_of_variable, withheld
from tollway.config.load import load, with_stored
from tollway.config.overlay import open_settings, protect_setting, seal_setting, show_setting
from tollway.config.problem import ConfigurationError
from tollway.config.sealing import Sealer
from tollway.config.secret import Secret
from tollway.ports.models import StoredSetting

FILE = """
general_settings: {completion_model: file, user_header_name: x-file, max_request_size_mb: 5}
environment_variables: {OF_THE_FILE: a, OF_BOTH: a}
"""


@pytest.fixture
def configuration(tmp_path: Path) -> Configuration:
    (tmp_path / "config.yaml").write_text(FILE)
    environ = {"HOME": "/home/x", "TOLLWAY_MAX_REQUEST_SIZE_MB": "7", "OF_THE_PROCESS": "p", "PORT": "4001"}
    flags = {"log_format": "json"}
    return load(tmp_path / "config.yaml", flags=flags, environ=environ)


def general(**values: Any) -> StoredSettings:
    return StoredSettings(values={"general_settings": values})


def test_the_database_wins_over_file_and_other_variables_and_yields_to_ours_and_flags(
    configuration: Configuration,
) -> None:
    stored = general(
        completion_model="stored", max_request_size_mb=9, log_format="text", keepalive_timeout=5, port=5000
    )
    settled = with_stored(configuration, stored)
    found = {name: settled.origins[f"general_settings.{name}"] for name in stored.values["general_settings"]}
    assert {name: (one.value, one.origin) for name, one in found.items()} == {
        "completion_model": ("stored", "database"),
        "max_request_size_mb": (7, "environment TOLLWAY_MAX_REQUEST_SIZE_MB"),
        "log_format": ("json", "flag --log-format"),
        "keepalive_timeout": (5, "database"),
        "port": (5000, "database"),  # before PORT; that it is not taken over the API is `open_settings`' to say
    }
    assert settled.origins["general_settings.user_header_name"].value == "x-file"
    assert settled.server.keepalive_s == 5


def test_taking_settings_away_gives_the_file_its_say_again(configuration: Configuration) -> None:
    stored = with_stored(configuration, general(completion_model="stored"))
    assert stored.data_plane.default_model == "stored"
    again = with_stored(stored, StoredSettings())
    assert again.data_plane == configuration.data_plane
    assert again.origins == configuration.origins


def test_variables_of_the_process_stay(configuration: Configuration) -> None:
    variables = {"OF_THE_PROCESS": "db", "OF_BOTH": "db", "NEW": "db", "NUMBER": 1, "FLAG": True}
    settled = with_stored(configuration, StoredSettings(values={"environment_variables": variables}))
    names = ("OF_THE_PROCESS", "OF_THE_FILE", "OF_BOTH", "NEW", "NUMBER", "FLAG")
    assert [settled.environ[name] for name in names] == ["p", "a", "db", "db", "1", "True"]
    assert "OF_THE_PROCESS" not in settled.added_environment


@pytest.mark.parametrize(
    ("values", "about"),
    [
        ({"general_settings": {"max_request_size_mb": "much"}}, "expected a size in MB above 0"),
        ({"general_settings": {"workers": 0}}, "expected a whole number of at least 1"),
        ({"general_settings": {"ssl_keyfile_path": "/nowhere"}}, "there is no file"),
        ({"general_settings": {"completion_modle": "m"}}, "did you mean `completion_model`?"),
        ({"litellm_settings": {"default_team_params": {"max_bugdet": 1}}}, "did you mean `max_budget`?"),
        ({"environment_variables": {"LD_PRELOAD": "x"}}, "decides which code runs"),
    ],
)
def test_what_is_wrong_is_left_out_and_the_rest_counts(
    configuration: Configuration, values: Mapping[str, Any], about: str
) -> None:
    settled = with_stored(configuration, StoredSettings(values={**values, "router_settings": {"timeout": 7}}))
    assert settled.stored.paths == ["router_settings.timeout"]
    assert settled.calls.timeout_s == 7
    notices = [one for one in settled.notices if one.place == "database"]
    assert all(one.message.startswith("left out: ") for one in notices)
    assert about in str(notices[0])


def test_a_wrong_file_stays_wrong_whatever_is_stored(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("general_settings: {}")
    good = load(file, environ={"HOME": "/home/x"})
    file.write_text("general_settings: {ssl_keyfile_path: /nowhere}")
    with pytest.raises(ConfigurationError):
        load(file, environ={"HOME": "/home/x"})
    assert with_stored(good, general(ssl_keyfile_path="/nowhere")).server.ssl_keyfile is None


def test_a_reference_to_the_gateways_own_secret_is_left_out(tmp_path: Path) -> None:
    environ = {"HOME": "/home/x", "LITELLM_MASTER_KEY": "sk-own", "COPY": "sk-own", "OTHER": "fine", "EMPTY": ""}
    configuration = load(environ=environ)
    names = {"completion_model": "COPY", "user_header_name": "OTHER", "litellm_key_header_name": "LITELLM_MASTER_KEY"}
    stored = general(**{name: f"os.environ/{variable}" for name, variable in names.items()})
    settled = with_stored(configuration, stored)
    assert settled.stored.paths == ["general_settings.user_header_name"]
    assert settled.data_plane.user_header == "fine"


async def test_secrets_are_sealed_to_their_place() -> None:
    sealer = Sealer(lambda: "sk-salt")
    await sealer.ready()
    section, name = "general_settings", "drain_endpoint_token"
    protected = protect_setting(section, name, "sk-1")
    assert isinstance(protected, Secret)
    sealed = seal_setting(section, name, protected, sealer)
    rows = [StoredSetting(section=section, name=name, value=sealed)]
    assert open_settings(rows, sealer).values == {section: {name: "sk-1"}}
    elsewhere = open_settings([StoredSetting(section=section, name="completion_model", value=sealed)], sealer)
    assert not elsewhere.paths
    assert "cannot be opened" in elsewhere.left_out[0].message
    assert not open_settings(rows, Sealer(lambda: "sk-other")).paths


@pytest.mark.parametrize(
    ("section", "name", "value", "shown"),
    [
        ("environment_variables", "ANYTHING", "x", "***"),
        ("environment_variables", "ANYTHING", "os.environ/X", "os.environ/X"),
        ("general_settings", "alert_to_webhook_url", {"a": ["https://hooks/secret"]}, {"a": ["***"]}),
        ("router_settings", "redis_url", "redis://u:p@h", "***"),
        ("litellm_settings", "s3_callback_params", {"s3_aws_secret_access_key": "x", "n": 1}, None),
        ("general_settings", "completion_model", "m", "m"),
        ("router_settings", "default_litellm_params", {"headers": {"a": "x"}, "rpm": 1}, None),
    ],
)
def test_what_is_a_secret_is_never_shown(section: str, name: str, value: Any, shown: Any) -> None:
    answer = show_setting(protect_setting(section, name, value))
    assert answer == shown or (shown is None and "x" not in repr(answer).replace("extra", ""))


def test_every_row_about_settings_is_about_some_setting() -> None:
    paths = [key.path for section in SETTINGS for key in section.keys]
    for pattern in WITHHELD:
        if not pattern.startswith("environment_variables."):
            assert any(fnmatchcase(path, pattern) for path in paths), pattern
    assert set(paths) >= AT_START


def test_what_sets_the_process_is_read_at_its_start_or_withheld() -> None:
    for section in SETTINGS:
        for key in section.keys:
            if key.support == "supported" and key.sets.startswith(("server.", "pool.")):
                follows = key.name.startswith("key_rotation_check") or key.name == "key_rotation_grace_period"
                assert follows or key.path in AT_START or withheld(section.name, key.name, "x"), key.path


def test_variables_that_are_settings_are_known() -> None:
    assert setting_of_variable("LITELLM_MASTER_KEY") == "general_settings.master_key"
    assert setting_of_variable("TOLLWAY_PORT") == "general_settings.port"
    assert setting_of_variable("OPENAI_API_KEY") is None
