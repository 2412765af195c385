from __future__ import annotations

from collections import Counter

import pytest

from tollway.config.configuration import ServerSettings
from tollway.config.keys import SECTIONS, SETTINGS, VARIABLES, Key, all_keys
from tollway.config.load import load
from tollway.core.snapshot import Settings
from tollway.db.pool import PoolSettings

SETTLED_FROM_SEVERAL = {"redis", "reports"}
"""Fields that no single setting fills."""


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.name or "top")
def test_no_key_is_listed_twice(section: object) -> None:
    counts = Counter(key.name for key in section.keys)  # type: ignore[attr-defined]
    assert [name for name, count in counts.items() if count > 1] == []


@pytest.mark.parametrize("key", all_keys(), ids=lambda key: key.path)
def test_every_key_says_what_it_means_in_a_sentence(key: Key) -> None:
    assert key.meaning.endswith(".")
    assert key.meaning[0].isupper() or key.meaning[0] == "`"
    assert not key.remedy.endswith(".")


@pytest.mark.parametrize("key", [key for key in all_keys() if key.default is not None], ids=lambda key: key.path)
def test_every_default_is_of_its_kind(key: Key) -> None:
    assert key.kind.read(key.default) is not None


def supported_settings() -> list[Key]:
    return [key for section in SETTINGS for key in section.keys if key.support == "supported"]


def test_every_supported_setting_has_an_environment_variable_of_its_own() -> None:
    twins = Counter(key.twin for key in supported_settings() if not key.repeats)
    assert [twin for twin, count in twins.items() if count > 1] == []
    assert "TOLLWAY_PORT" in twins


def test_no_two_settings_read_the_same_plain_variable() -> None:
    names = Counter(name for key in supported_settings() for name in key.environment)
    names.update(variable.name for variable in VARIABLES)
    assert [name for name, count in names.items() if count > 1] == []


@pytest.mark.parametrize(
    ("record", "type_"), [("server", ServerSettings), ("pool", PoolSettings), ("data_plane", Settings)]
)
def test_settings_fill_fields_that_exist_and_every_field_is_filled(record: str, type_: type) -> None:
    targets = Counter(key.sets.partition(".")[2] for key in supported_settings() if key.sets.startswith(f"{record}."))
    fields = [name for name in type_.__struct_fields__ if name not in SETTLED_FROM_SEVERAL]  # type: ignore[attr-defined]
    assert dict(targets) == dict.fromkeys(fields, 1)


def test_the_defaults_of_the_tables_are_those_of_the_records() -> None:
    configuration = load(environ={"HOME": "/home/x"})
    assert (configuration.data_plane, configuration.pool) == (Settings(), PoolSettings())


def test_families_of_keys_are_found() -> None:
    sections = {section.name: section for section in SECTIONS}
    assert sections["litellm_params"].find("input_cost_per_token_above_200k_tokens") is not None
    assert sections["model_info"].find("supports_vision") is not None
    assert sections["general_settings"].find("nothing_like_it") is None
