"""`tollway models` against a real gateway."""

from __future__ import annotations

import json
import os
import pty
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from subprocess import PIPE, Popen

import pytest
from click.testing import CliRunner
from tests.support.commands import Run, runner
from tests.support.gateway import Gateway, running_gateway

from tollway.cli.models import command

SECRET = "sk-of-the-provider-0123456789"
FILE = {"model_list": [{"model_name": "filed", "litellm_params": {"model": "demo/demo"}, "model_info": {"id": "f-1"}}]}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with running_gateway(tmp_path_factory.mktemp("gateway"), FILE, env={"PROVIDER_KEY": SECRET}) as gateway:
        yield gateway


@pytest.fixture
def run(gateway: Gateway) -> Run:
    return runner(gateway, command)


def params(run: Run, model_id: str) -> dict[str, object]:
    """`litellm_params` of a model, as the gateway shows them."""
    models = json.loads(run("list", "--json").stdout)
    (found,) = (model["litellm_params"] for model in models if model["model_info"]["id"] == model_id)
    return dict(found)


def test_a_model_is_added_and_answers(run: Run, gateway: Gateway) -> None:
    added = run("add", "helper", "demo/demo", "--id", "h-1")
    assert (added.exit_code, added.stdout) == (0, "h-1\n"), added.output
    assert "Calls of helper go to demo/demo." in added.stderr
    assert gateway.chat("helper", "Hello").status == 200
    assert re.fullmatch(r"[0-9a-f-]{36}\n", run("add", "helper", "demo/demo").stdout)


def test_everything_that_can_be_said(run: Run) -> None:
    address = ("--api-base", "http://127.0.0.1:9/v1", "--api-key", "os.environ/PROVIDER_KEY")
    others = ("--param", "temperature=0.2", "--param", "organization=a=b", "--param", 'tags=["x"]')
    added = run("add", "full", "openai/gpt-4o", "--id", "full-1", *address, "--rpm", "60", "--tpm", "1000", *others)
    assert added.exit_code == 0, added.output
    shown = params(run, "full-1")
    assert (shown["model"], shown["api_base"]) == ("openai/gpt-4o", "http://127.0.0.1:9/v1")
    assert (shown["rpm"], shown["tpm"], shown["temperature"]) == (60, 1000, 0.2)
    assert (shown["organization"], shown["tags"]) == ("a=b", ["x"])
    assert shown["api_key"] == "os.environ/PROVIDER_KEY"


@pytest.mark.parametrize(("given", "stdin"), [(SECRET, None), ("-", f"{SECRET}\n")])
@pytest.mark.parametrize("form", [(), ("--json",)])
def test_the_key_of_a_provider_is_never_shown(given: str, stdin: str | None, form: tuple[str, ...], run: Run) -> None:
    added = run("add", "secret", "openai/gpt-4o", "--api-key", given, "--param", "rpm=1", *form, stdin=stdin)
    assert added.exit_code == 0, added.output
    model_id = json.loads(added.stdout)["model_id"] if form else added.stdout.strip()
    assert params(run, model_id)["api_key"] == "***"
    for output in (added.output, run("list", *form).output, run("delete", model_id, *form).output):
        assert SECRET not in output


def test_a_key_that_is_typed_in_is_not_shown(gateway: Gateway) -> None:
    terminal, stdin = pty.openpty()
    line = [
        sys.executable,
        "-m",
        "tollway",
        "models",
        "add",
        "typed",
        "openai/gpt-4o",
        "--id",
        "typed",
        "--api-key",
        "-",
    ]
    environment = os.environ | {"TOLLWAY_URL": gateway.url, "TOLLWAY_MASTER_KEY": gateway.master_key}
    with Popen(line, stdin=stdin, stdout=stdin, stderr=PIPE, env=environment, start_new_session=True) as process:
        assert process.stderr is not None
        asked = process.stderr.read(len("Key of the provider: "))
        os.write(terminal, f"{SECRET}\n".encode())
        said = asked + process.stderr.read()
        assert process.wait() == 0, said
    os.set_blocking(terminal, False)
    shown = os.read(terminal, 10_000)
    for descriptor in (terminal, stdin):
        os.close(descriptor)
    assert b"Key of the provider: " in said
    assert b"typed" in shown
    assert SECRET.encode() not in shown + said
    assert params(runner(gateway, command), "typed")["api_key"] == "***"


def test_what_will_not_work_is_said_at_once(run: Run) -> None:
    added = run("add", "doubtful", "openai/gpt-4o", "--api-key", "os.environ/NOT_SET")
    assert added.exit_code == 0
    assert "NOT_SET is not set in the environment of this gateway" in added.stderr


def test_models_are_listed_with_where_they_come_from(run: Run) -> None:
    run("add", "listed", "demo/demo", "--id", "l-1")
    header, of_file, *_ = run("list").stdout.splitlines()
    assert header.split() == ["NAME", "MODEL", "ID", "FROM", "STATUS"]
    assert re.fullmatch(r"filed +demo/demo +f-1 +file +active", of_file)
    _, row = run("list", "--search", "listed").stdout.splitlines()
    assert re.fullmatch(r"listed +demo/demo +l-1 +database +active", row)
    none = run("list", "--search", "nothing of that name")
    assert (none.exit_code, none.stdout) == (0, "")
    assert "tollway models add" in none.stderr


def test_models_are_blocked_unblocked_and_deleted(run: Run, gateway: Gateway) -> None:
    run("add", "victim", "demo/demo", "--id", "v-1")
    assert run("block", "victim").stdout == "victim: blocked\n"
    assert run("list", "--search", "victim").stdout.splitlines()[1].endswith("  blocked")
    assert gateway.chat("victim", "Hello").status == 400
    assert run("unblock", "v-1").stdout == "v-1: works again\n"
    assert gateway.chat("victim", "Hello").status == 200
    assert json.loads(run("block", "victim", "--json").stdout)["blocked"] is True
    run("add", "other", "demo/demo", "--id", "v-2")
    assert run("delete", "victim", "v-2").stdout == "victim: deleted\nv-2: deleted\n"
    assert "There is no model 'victim'" in run("delete", "victim").stderr


def test_a_name_of_several_models_is_not_enough(run: Run) -> None:
    for model_id in ("s-1", "s-2"):
        run("add", "same", "demo/demo", "--id", model_id)
    refused = run("delete", "s-1", "same")
    assert refused.exit_code == 1
    assert "Several models have the name 'same'. Use an id: s-1, s-2." in refused.stderr
    assert "s-1" in run("list").stdout


def test_a_model_that_cannot_be_opened_is_not_served(tmp_path: Path) -> None:
    with running_gateway(tmp_path, env={"LITELLM_SALT_KEY": "salt-1-0123456789"}) as gateway:
        runner(gateway, command)("add", "sealed", "openai/gpt-4o", "--api-key", SECRET)
    with running_gateway(tmp_path, env={"LITELLM_SALT_KEY": "salt-2-0123456789"}) as gateway:
        _, row = runner(gateway, command)("list", "--search", "sealed").stdout.splitlines()
    assert re.fullmatch(r"sealed +openai/gpt-4o +\S+ +database +not served", row)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("add", "x", "nobody/x"), "nobody is not a known provider"),
        (("add", "x", "openai/x", "--param", "api_bas=1"), "did you mean `api_base`?"),
        (("add", "x", "openai/x", "--param", SECRET), "--param must be KEY=VALUE"),
        (("add", "x", "openai/x", "--api-key", "-"), "reads the key from standard input, and there is none"),
        (("add", "x", "openai/x", "--api-key", "os.environ/LITELLM_MASTER_KEY"), "goes to no provider"),
        (("add", "x", "demo/demo", "--id", "f-1"), "There is a model with the id 'f-1' already"),
        (("block", "filed"), "Change it in the configuration file"),
        (("delete", "filed"), "is defined in the configuration file. Remove it there."),
        (("unblock", "nothing"), "'tollway models list' shows those there are"),
        (("list", "--key", "sk-wrong-0123456789"), "Use the gateway's master key: --key, TOLLWAY_MASTER_KEY"),
        (("list", "--url", "http://127.0.0.1:1"), "Start one with 'tollway serve'"),
    ],
)
def test_what_went_wrong_is_said_with_the_remedy(arguments: tuple[str, ...], words: str, run: Run) -> None:
    result = run(*arguments)
    assert result.exit_code != 0
    assert words in result.stderr
    assert SECRET not in result.output
    assert "Traceback" not in result.output


def test_a_virtual_key_may_look_and_not_add(run: Run, gateway: Gateway) -> None:
    key = gateway.create_key(models=["filed"])
    assert len(run("list", "--key", key).stdout.splitlines()) == 2
    refused = run("add", "x", "demo/demo", "--key", key)
    assert refused.exit_code == 1
    assert "(status 403)" in refused.stderr


def test_help_teaches() -> None:
    text = CliRunner().invoke(command, ["--help"]).stdout
    for word in ("add", "os.environ/NAME", "--api-key -", "TOLLWAY_URL", "tollway serve"):
        assert word in text
