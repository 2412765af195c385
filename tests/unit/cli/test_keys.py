"""`tollway keys` against a real gateway."""

from __future__ import annotations

import json
import re
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from click.testing import CliRunner
from tests.support.commands import Run, runner
from tests.support.gateway import Gateway
from tests.support.ports import free_port

from tollway.cli.keys import command


@pytest.fixture
def run(gateway: Gateway) -> Run:
    return runner(gateway, command)


def test_a_key_is_created_used_and_shown(run: Run, gateway: Gateway) -> None:
    limits = ("--max-budget", "10", "--budget-duration", "30d", "--rpm", "60", "--tpm", "1000", "--parallel", "2")
    others = ("--models", "demo", "--duration", "90d", "--user", "u", "--team", "t", "--tag", "x")
    made = run("create", "--alias", "app", *limits, *others, "--metadata", '{"a": 1}', "--json")
    assert made.exit_code == 0, made.output
    fields = json.loads(made.stdout)
    assert fields["key"].startswith("sk-")
    assert (fields["key_alias"], fields["models"], fields["user_id"], fields["team_id"]) == ("app", ["demo"], "u", "t")
    assert (fields["max_budget"], fields["budget_duration"]) == (10.0, "30d")
    assert (fields["rpm_limit"], fields["tpm_limit"], fields["max_parallel_requests"]) == (60, 1000, 2)
    assert fields["metadata"] == {"a": 1, "tags": ["x"]}
    shown = run("info", "app")
    assert shown.exit_code == 0, shown.output
    assert re.search(r"^models +demo$", shown.stdout, re.MULTILINE)
    assert re.search(r"^budget +\$10\.00 per 30d$", shown.stdout, re.MULTILINE)
    assert fields["key"] not in shown.stdout
    for name in (fields["key"], fields["token"]):
        assert json.loads(run("info", name, "--json").stdout)["info"]["key_alias"] == "app"


def test_only_the_key_goes_to_standard_output(run: Run) -> None:
    made = run("create", "--alias", "piped")
    assert re.fullmatch(r"sk-\S{22}\n", made.stdout)
    assert "May call: every model; no budget; for ever." in made.stderr
    assert "not shown again" in made.stderr


def test_a_value_of_ones_own(run: Run) -> None:
    assert run("create", "--value", "sk-chosen-0123456789").stdout == "sk-chosen-0123456789\n"


def test_keys_are_listed_in_a_table(run: Run) -> None:
    run("create", "--alias", "listed", "--team", "listing", "--budget", "0.0005", "--models", "a", "--model", "b")
    run("create", "--alias", "late", "--team", "listing", "--duration", "1s")
    listed = run("list", "--team", "listing", "--search", "listed")
    header, row = listed.stdout.splitlines()
    assert header.split() == ["ALIAS", "KEY", "STATUS", "MODELS", "SPEND", "BUDGET", "EXPIRES"]
    assert re.fullmatch(r"listed +sk-\.\.\.\S{4} +active +a, b +\$0\.00 +\$0\.0005 +never", row)
    both = json.loads(run("list", "--team", "listing", "--json").stdout)
    assert {key["key_alias"] for key in both} == {"listed", "late"}


def test_every_page_of_keys_is_listed(run: Run, gateway: Gateway) -> None:
    for _ in range(101):
        gateway.admin("POST", "/key/generate", {"team_id": "many"})
    assert len(run("list", "--team", "many").stdout.splitlines()) == 102


def test_an_empty_list_says_what_to_do(run: Run) -> None:
    listed = run("list", "--team", "nobody")
    assert (listed.exit_code, listed.stdout) == (0, "")
    assert "tollway keys create" in listed.stderr


def test_keys_are_blocked_unblocked_and_deleted(run: Run) -> None:
    key = run("create", "--alias", "victim").stdout.strip()
    assert run("block", "victim").stdout == "victim: blocked\n"
    assert json.loads(run("info", "victim", "--json").stdout)["info"]["status"] == "revoked"
    assert re.search(r"^victim .* blocked ", run("list", "--search", "victim").stdout, re.MULTILINE)
    assert run("unblock", key).stdout == "victim: works again\n"
    assert json.loads(run("block", "victim", "--json").stdout)["blocked"] is True
    assert run("delete", key).stdout == f"sk-...{key[-4:]}: deleted\n"
    gone = run("info", "victim")
    assert gone.exit_code == 1
    assert "There is no key with the alias 'victim'" in gone.stderr
    assert json.loads(run("info", key, "--json").stdout)["info"]["status"] == "deleted"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("create", "--metadata", "[1]"), "--metadata must be a JSON object"),
        (("create", "--budget-duration", "1y"), "Invalid budget_duration '1y'"),
        (("create", "--max-budget", "-1"), "max_budget must be a non-negative finite number"),
        (("info", "sk-unknown-0123456789"), "Key not found in database (status 404)"),
        (("list", "--url", "localhost:4000"), "must begin with http:// or https://"),
        (("list", "--key", "sk-wrong-0123456789"), "Use the gateway's master key: --key, TOLLWAY_MASTER_KEY"),
    ],
)
def test_what_went_wrong_is_said_with_the_remedy(arguments: tuple[str, ...], words: str, run: Run) -> None:
    result = run(*arguments)
    assert result.exit_code != 0
    assert words in result.stderr
    assert "Traceback" not in result.output


def test_no_gateway_says_how_to_start_one(run: Run) -> None:
    result = run("list", "--url", f"http://127.0.0.1:{free_port()}")
    assert result.exit_code == 1
    assert "No gateway answers" in result.stderr
    assert "tollway serve" in result.stderr


def test_something_else_at_that_address(run: Run) -> None:
    class Website(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>")

        def log_message(self, *_arguments: object) -> None:
            """Quiet."""

    with HTTPServer(("127.0.0.1", 0), Website) as server:
        Thread(target=server.handle_request).start()
        result = run("list", "--url", f"http://127.0.0.1:{server.server_port}")
    assert result.exit_code == 1
    assert "not as a gateway would" in result.stderr


def test_the_generated_key_is_found_in_the_data_folder(run: Run, gateway: Gateway, tmp_path: Path) -> None:
    nowhere = run("list", "--data-dir", str(tmp_path), TOLLWAY_MASTER_KEY=None, LITELLM_MASTER_KEY=None)
    assert nowhere.exit_code == 1
    assert f"{tmp_path}/master_key cannot be read" in nowhere.stderr
    assert "tollway serve" in nowhere.stderr
    (tmp_path / "master_key").write_text(gateway.master_key + "\n")
    assert run("list", "--data-dir", str(tmp_path), TOLLWAY_MASTER_KEY=None).exit_code == 0
    assert run("list", TOLLWAY_MASTER_KEY=None, TOLLWAY_DATA_DIR=str(tmp_path)).exit_code == 0


def test_the_variables_of_the_original_work(run: Run, gateway: Gateway) -> None:
    theirs = {"LITELLM_PROXY_URL": gateway.url, "LITELLM_PROXY_API_KEY": gateway.master_key}
    assert run("list", TOLLWAY_URL=None, TOLLWAY_MASTER_KEY=None, **theirs).exit_code == 0


def test_help_teaches() -> None:
    text = CliRunner().invoke(command, ["--help"]).stdout
    for word in ("create", "block", "--max-budget", "TOLLWAY_URL", "tollway serve"):
        assert word in text
