from __future__ import annotations

from tollway.config.discover import discover


def test_an_empty_environment_offers_the_demo_model_alone() -> None:
    assert [entry.model_name for entry in discover({})] == ["demo"]


def test_each_provider_key_offers_a_wildcard_and_names_its_variable() -> None:
    entries = {entry.model_name: entry for entry in discover({"OPENAI_API_KEY": "a", "MISTRAL_API_KEY": "b"})}
    assert set(entries) == {"demo", "openai/*", "mistral/*", "*"}
    assert entries["openai/*"].origin == "environment OPENAI_API_KEY"
    assert entries["*"].vendors == frozenset({"openai", "mistral"})


def test_an_empty_variable_is_no_key() -> None:
    assert [entry.model_name for entry in discover({"OPENAI_API_KEY": ""})] == ["demo"]


def test_no_key_is_copied_into_an_entry() -> None:
    assert "sk-private" not in repr(discover({"OPENAI_API_KEY": "sk-private"}))
