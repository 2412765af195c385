"""`tollway teams` against a real gateway."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator

import pytest
from click.testing import CliRunner, Result
from tests.support.gateway import Gateway, running_gateway

from tollway.cli.teams import command

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with running_gateway(tmp_path_factory.mktemp("gateway")) as gateway:
        yield gateway


@pytest.fixture
def run(gateway: Gateway) -> Run:
    """Runs `tollway teams …` with the gateway's address and key in the environment."""
    environment = {"TOLLWAY_URL": gateway.url, "TOLLWAY_MASTER_KEY": gateway.master_key}

    def run(*arguments: str) -> Result:
        return CliRunner(env=environment).invoke(command, arguments)

    return run


def test_a_team_is_created_changed_and_shown(run: Run) -> None:
    limits = ("--max-budget", "10", "--budget-duration", "30d", "--rpm", "60", "--tpm", "1000", "--parallel", "2")
    others = ("--models", "demo", "--member-budget", "3", "--metadata", '{"a": 1}', "--id", "t-1")
    made = run("create", "--alias", "eng", *limits, *others)
    assert (made.exit_code, made.stdout) == (0, "t-1\n"), made.output
    assert "May call: demo; $10.00 per 30d." in made.stderr
    changed = run("update", "eng", "--max-budget", "20", "--spend", "1.5")
    assert changed.stdout == "eng: changed\n"
    for name in ("eng", "t-1"):
        shown = run("info", name).stdout
        assert re.search(r"^budget +\$20\.00 per 30d$", shown, re.MULTILINE)
        assert re.search(r"^spend +\$1\.50$", shown, re.MULTILINE)
        assert re.search(r"^default_user_id +admin +\$0\.00 +\$3\.00$", shown, re.MULTILINE)
    assert json.loads(run("info", "eng", "--json").stdout)["team_info"]["metadata"]["a"] == 1


def test_members_come_and_go(run: Run) -> None:
    run("create", "--alias", "crew")
    added = run("add-member", "crew", "--email", "ann@example.com", "--role", "admin", "--max-budget", "5")
    assert re.fullmatch(r"\S+: added to crew\n", added.stdout), added.output
    assert run("add-member", "crew", "--user", "ci").stdout == "ci: added to crew\n"
    shown = run("info", "crew").stdout
    assert re.search(r"^ann@example\.com +admin +\$0\.00 +\$5\.00$", shown, re.MULTILINE)
    assert re.search(r"^ci +user +\$0\.00 +-$", shown, re.MULTILINE)
    removed = run("remove-member", "crew", "--email", "ann@example.com")
    assert removed.stdout == "ann@example.com: no longer in crew\n"
    assert "ann@example.com" not in run("info", "crew").stdout


def test_teams_are_listed_in_a_table_and_deleted(run: Run) -> None:
    run("create", "--alias", "listed-1", "--id", "l-1", "--models", "a", "--model", "b", "--budget", "0.0005")
    run("create", "--alias", "listed-2", "--id", "l-2")
    header, first, second = run("list", "--search", "listed").stdout.splitlines()
    assert header.split() == ["ALIAS", "ID", "MEMBERS", "KEYS", "MODELS", "SPEND", "BUDGET"]
    assert re.fullmatch(r"listed-1 +l-1 +1 +0 +a, b +\$0\.00 +\$0\.0005", first)
    assert re.fullmatch(r"listed-2 +l-2 +1 +0 +all +\$0\.00 +-", second)
    assert run("delete", "l-1", "listed-2").stdout == "l-1: deleted\nlisted-2: deleted\n"
    assert "No teams." in run("list", "--search", "listed").stderr
    gone = json.loads(run("list", "--search", "listed", "--deleted", "--json").stdout)
    assert {team["team_id"] for team in gone} == {"l-1", "l-2"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("info", "none"), "There is no team 'none'."),
        (("update", "none"), "Nothing to change"),
        (("add-member", "none"), "Say who"),
        (("create", "--metadata", "1"), "--metadata must be a JSON object"),
        (("create", "--max-budget", "-1"), "max_budget"),
    ],
)
def test_what_cannot_be_done_is_explained(arguments: tuple[str, ...], words: str, run: Run) -> None:
    refused = run(*arguments)
    assert refused.exit_code != 0
    assert words in refused.output


def test_an_alias_of_several_teams_is_no_name(run: Run) -> None:
    for team_id in ("s-1", "s-2"):
        run("create", "--alias", "same", "--id", team_id)
    assert "Use an id: s-1, s-2." in run("info", "same").output


def test_answers_are_printed_for_other_programs(run: Run) -> None:
    made = json.loads(run("create", "--alias", "json", "--json").stdout)
    assert made["team_alias"] == "json"
    changed = json.loads(run("update", "json", "--rpm", "5", "--json").stdout)
    assert changed["data"]["rpm_limit"] == 5
    added = json.loads(run("add-member", "json", "--user", "u", "--json").stdout)
    assert added["updated_users"][0]["user_id"] == "u"
    removed = json.loads(run("remove-member", "json", "--user", "u", "--json").stdout)
    assert removed["team_id"] == made["team_id"]
    assert json.loads(run("delete", "json", "--json").stdout) == {"deleted_teams": [made["team_id"]]}
