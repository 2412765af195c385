"""`tollway users` against a real gateway."""

from __future__ import annotations

import json
import re

import pytest
from click.testing import CliRunner
from tests.support.commands import Run, runner
from tests.support.gateway import Gateway

from tollway.cli.users import command


@pytest.fixture
def run(gateway: Gateway) -> Run:
    return runner(gateway, command)


def test_a_user_is_created_shown_changed_and_deleted(run: Run) -> None:
    limits = ("--max-budget", "10", "--budget-duration", "30d", "--rpm", "60", "--tpm", "1000", "--parallel", "2")
    who = ("--email", "ann@x.io", "--alias", "Ann", "--role", "internal_user", "--model", "demo")
    made = run("create", "--id", "ann+1", *who, *limits, "--metadata", '{"a": 1}', "--json")
    assert made.exit_code == 0, made.output
    fields = json.loads(made.stdout)
    assert (fields["user_id"], fields["user_email"], fields["models"]) == ("ann+1", "ann@x.io", ["demo"])
    assert (fields["rpm_limit"], fields["tpm_limit"], fields["max_parallel_requests"]) == (60, 1000, 2)
    shown = run("info", "ann+1").stdout
    for line in (r"email +ann@x.io", r"budget +\$10\.00 per 30d", r"keys +sk-\.\.\.\S{4}", r"teams +none", r"rpm +60"):
        assert re.search(f"^{line}$", shown, re.MULTILINE), shown
    changed = run("update", "ann+1", "--max-budget", "20", "--spend", "3")
    assert changed.stdout == "Ann: internal_user, $20.00 per 30d, $3.00 spent\n"
    assert json.loads(run("update", "ann+1", "--spend", "0", "--json").stdout)["data"]["spend"] == 0
    assert json.loads(run("info", "ann+1", "--json").stdout)["user_info"]["metadata"] == {"a": 1}
    assert run("delete", "ann+1").stdout == "ann+1: deleted\n"
    gone = run("info", "ann+1")
    assert gone.exit_code == 1
    assert "User ann+1 not found (status 404)" in gone.stderr


def test_only_the_key_goes_to_standard_output(run: Run) -> None:
    made = run("create", "--email", "piped@x.io")
    assert re.fullmatch(r"sk-\S{22}\n", made.stdout)
    assert "piped@x.io: internal_user, no budget." in made.stderr
    keyless = run("create", "--id", "keyless", "--no-key")
    assert keyless.stdout == "keyless\n"
    assert "not shown again" not in keyless.stderr


def test_users_are_listed_in_a_table(run: Run) -> None:
    run("create", "--id", "listed", "--budget", "0.5", "--no-key")
    header, row = run("list", "--search", "listed", "--role", "internal_user").stdout.splitlines()
    assert header.split() == ["ID", "EMAIL", "ROLE", "KEYS", "TEAMS", "SPEND", "BUDGET"]
    assert re.fullmatch(r"listed +- +internal_user +0 +0 +\$0\.00 +\$0\.50", row)
    assert [user["user_id"] for user in json.loads(run("list", "--search", "listed", "--json").stdout)] == ["listed"]
    assert json.loads(run("delete", "listed", "--json").stdout) == 1
    empty = run("list", "--search", "listed")
    assert (empty.exit_code, empty.stdout) == (0, "")
    assert "tollway users create" in empty.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("update", "u"), "Nothing to change"),
        (("create", "--team", "nowhere"), "Team not found, passed team_id=nowhere (status 404)"),
        (("create", "--id", "u" * 256), "user_id: String should have at most 255 characters (status 422)"),
        (("delete", "nobody"), "User not found, passed user_id=nobody"),
        (("create", "--metadata", "[1]"), "--metadata must be a JSON object"),
    ],
)
def test_what_went_wrong_is_said(arguments: tuple[str, ...], words: str, run: Run) -> None:
    result = run(*arguments)
    assert result.exit_code != 0
    assert words in result.stderr
    assert "Traceback" not in result.output


def test_help_teaches() -> None:
    text = CliRunner().invoke(command, ["--help"]).stdout
    for word in ("create", "update", "--max-budget", "TOLLWAY_URL", "tollway serve"):
        assert word in text
