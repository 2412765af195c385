"""Secrets of others: where a configuration refers to them, and what counts while they cannot be read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.support import moto

from tollway.config.configuration import Configuration
from tollway.config.load import load, renewed
from tollway.config.located import locate, plain, resolve
from tollway.config.problem import ConfigurationError
from tollway.config.secrets import KeptSecrets

MODEL = "model_list: [{{model_name: m, litellm_params: {{model: openai/x, api_key: {key}}}}}]\n"
MANAGED = MODEL.format(key="os.environ/A_KEY") + "general_settings: {key_management_system: aws_secret_manager}\n"


def read(folder: Path, text: str, environ: Mapping[str, str] = {}, reader: KeptSecrets | None = None) -> Configuration:
    file = folder / "config.yaml"
    file.write_text(text)
    return load(file, environ={"HOME": str(folder), **environ}, reader=reader)


def keys(configuration: Configuration) -> list[str]:
    return [entry.litellm_params["api_key"] for entry in configuration.models]


def amazon(**more: str) -> dict[str, str]:
    credentials = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "eu-west-3"}
    return {"AWS_ENDPOINT_URL": moto.shared_url(), **credentials, **more}


def test_a_file_may_hold_a_secret(tmp_path: Path) -> None:
    secret = tmp_path / "key"
    secret.write_text("sk-first\n")
    configuration = read(tmp_path, MODEL.format(key=f"file/{secret}"))
    assert keys(configuration) == ["sk-first"]
    assert "sk-first" not in repr(configuration)
    assert renewed(configuration) is None
    secret.write_text("sk-second\n")
    fresh = renewed(configuration)
    assert fresh is not None
    assert keys(fresh) == ["sk-second"]
    assert [entry.id for entry in fresh.models] == [entry.id for entry in configuration.models], "the same deployment"
    secret.unlink()
    stale = renewed(fresh)
    assert stale is not None
    assert keys(stale) == ["sk-second"]
    assert f"file/{secret}: cannot be read (No such file or directory); what it held counts" in stale.warnings


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "config.yaml:1: file//"),
        (b"\xff", "it is no short text"),
        (b"x" * 70_000, "it is no short text"),
    ],
)
def test_a_file_that_holds_none_is_named(tmp_path: Path, content: bytes | None, expected: str) -> None:
    secret = tmp_path / "key"
    if content is not None:
        secret.write_bytes(content)
    with pytest.raises(ConfigurationError) as got:
        read(tmp_path, MODEL.format(key=f"file/{secret}"))
    assert expected in str(got.value)


def test_an_empty_file_is_told_like_a_variable_that_is_not_set(tmp_path: Path) -> None:
    secret = tmp_path / "key"
    secret.write_text("\n")
    assert f"file/{secret}: is empty" in read(tmp_path, MODEL.format(key=f"file/{secret}")).warnings


def test_only_files_of_the_configuration_may_name_files() -> None:
    sent = locate({"api_key": "file//etc/hostname", "model": "file/x"}, "request")
    assert plain(resolve(sent, {}, {"/etc/hostname": "secret"})) == {"api_key": "file//etc/hostname", "model": "file/x"}


def test_a_managers_secret_goes_before_the_environment(tmp_path: Path) -> None:
    moto.keep_secret("A_KEY", "sk-of-the-manager")
    configuration = read(tmp_path, MANAGED, amazon(A_KEY="sk-of-the-environment"))
    assert keys(configuration) == ["sk-of-the-manager"]
    assert "sk-of-the-manager" not in repr(configuration)
    assert configuration.written.secrets.refresh_s == 300
    none = read(tmp_path, MANAGED.replace("A_KEY", "NOT_THERE"), amazon(NOT_THERE="sk-of-the-environment"))
    assert keys(none) == ["sk-of-the-environment"]
    assert "os.environ/NOWHERE: is not set" in read(tmp_path, MANAGED.replace("A_KEY", "NOWHERE"), amazon()).warnings


def test_settings_may_come_from_the_manager_too(tmp_path: Path) -> None:
    moto.keep_secret("MASTER", "sk-of-the-manager-0123")
    text = "general_settings: {master_key: os.environ/MASTER, key_management_system: aws_secret_manager}"
    assert read(tmp_path, text, amazon()).server.master_key == "sk-of-the-manager-0123"


def test_what_a_manager_holds_may_be_said(tmp_path: Path) -> None:
    moto.keep_secret("all of it", '{"A_KEY": "sk-member", "OPENAI_API_KEY": "sk-default"}')
    hosts = MANAGED.replace(
        "aws_secret_manager",
        "aws_secret_manager, key_management_settings: {primary_secret_name: all of it, hosted_keys: [OPENAI_API_KEY]}",
    )
    configuration = read(tmp_path, hosts, amazon(A_KEY="sk-of-the-environment"))
    assert keys(configuration) == ["sk-of-the-environment"], "it is not said to hold this one"
    assert configuration.environ["OPENAI_API_KEY"] == "sk-default", "nothing refers to it, and models without a key do"
    written = MANAGED.replace(
        "aws_secret_manager", "aws_secret_manager, key_management_settings: {access_mode: write_only}"
    )
    assert keys(read(tmp_path, written, {"A_KEY": "sk-of-the-environment"})) == ["sk-of-the-environment"]


def test_a_manager_that_is_away_changes_nothing(tmp_path: Path) -> None:
    moto.keep_secret("A_KEY", "sk-of-the-manager")
    reader = KeptSecrets()
    assert keys(read(tmp_path, MANAGED, amazon(), reader)) == ["sk-of-the-manager"]
    away = amazon(AWS_ENDPOINT_URL="http://127.0.0.1:1")
    later = read(tmp_path, MANAGED, away, reader)
    assert keys(later) == ["sk-of-the-manager"]
    assert "AWS Secrets Manager cannot be reached" in later.warnings
    with pytest.raises(ConfigurationError, match="set A_KEY in the environment to do without"):
        read(tmp_path, MANAGED, away)
    assert keys(read(tmp_path, MANAGED, {**away, "A_KEY": "sk-e"})) == ["sk-e"]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ("key_management_system: floppy", "expected aws_secret_manager, hashicorp_vault"),
        ("key_management_settings: {acess_mode: read_only}", "did you mean `access_mode`?"),
        ("key_management_settings: {access_mode: never}", "expected read_only, write_only or read_and_write"),
        ("key_management_system: hashicorp_vault, key_management_settings: {hosted_keys: [X]}", "set HCP_VAULT_ADDR"),
    ],
)
def test_what_is_wrong_with_it_is_named(tmp_path: Path, settings: str, expected: str) -> None:
    with pytest.raises(ConfigurationError) as got:
        read(tmp_path, f"general_settings: {{{settings}}}")
    assert expected in str(got.value)


def test_what_has_no_effect_yet_is_named(tmp_path: Path) -> None:
    text = "general_settings: {key_management_system: aws_kms, key_management_settings: {store_virtual_keys: true}}"
    warnings = read(tmp_path, text).warnings
    assert "key_management_system: has no effect in this release; use one of aws_secret_manager" in warnings
    assert "store_virtual_keys: has no effect in this release; only hashes of keys are kept" in warnings
