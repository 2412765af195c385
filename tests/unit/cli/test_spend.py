"""`tollway spend` against a real gateway."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner
from tests.support.commands import Run, runner
from tests.support.gateway import Gateway, running_gateway

from tollway.cli.spend import command

_NOWHERE = "http://127.0.0.1:1"
_PRICE = {"input_cost_per_request": 0.01}
CONFIG = {
    "model_list": [
        {"model_name": "paid", "litellm_params": {"model": "demo/demo", **_PRICE}},
        {"model_name": "down", "litellm_params": {"model": "openai/gpt-4o", "api_key": "x", "api_base": _NOWHERE}},
    ],
    "litellm_settings": {"max_budget": 50},
}
LONG_AGO = ("--from", "2001-01-01", "--to", "2001-01-31")


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Ann's key spent 3 cents, the team's 2 cents, the master key 1 cent; then a call of Ann's failed."""
    with running_gateway(tmp_path_factory.mktemp("gateway"), CONFIG) as gateway:
        gateway.admin("POST", "/user/new", {"user_id": "ann", "user_email": "ann@x.io", "auto_create_key": False})
        gateway.admin("POST", "/team/new", {"team_id": "t-1", "team_alias": "eng"})
        of_ann = gateway.create_key(key="sk-of-ann-0123456789", key_alias="app", user_id="ann")
        of_team = gateway.create_key(key="sk-of-team-0123456789", team_id="t-1")
        for key in [of_ann] * 3 + [of_team] * 2 + [gateway.master_key]:
            assert gateway.chat("paid", "Hello", key=key).status == 200
        assert gateway.chat("down", "Hello", key=of_ann).status == 500
        yield gateway


@pytest.fixture
def run(gateway: Gateway) -> Run:
    return runner(gateway, command)


@pytest.mark.parametrize("name", [(), ("days",)])
def test_the_total_and_every_day(name: tuple[str, ...], run: Run) -> None:
    today = datetime.now(UTC).date()
    shown = run(*name)
    assert shown.exit_code == 0, shown.output
    spent, budget, blank, header, *days = shown.stdout.splitlines()
    assert re.fullmatch(rf"spent +\$0\.06 from {today - timedelta(days=30)} to {today}", spent)
    assert re.fullmatch(r"budget +\$50\.00", budget)
    assert (blank, header.split()) == ("", ["DAY", "SPEND"])
    assert len(days) == 31
    assert days[0] == f"{today - timedelta(days=30)}  $0.00"
    assert days[-1] == f"{today}  $0.06  {'#' * 40}"


def test_days_that_are_named(run: Run) -> None:
    first, *_, last = run("--from", "2001-01-01", "--to", "2001-01-03").stdout.splitlines()
    assert re.fullmatch(r"spent +\$0\.00 from 2001-01-01 to 2001-01-03", first)
    assert last == "2001-01-03  $0.00"
    answer = json.loads(run("--json").stdout)
    assert (answer["spend"], answer["max_budget"]) == (0.06, 50.0)
    assert [day["spend"] for day in answer["daily"]] == [0.06]


@pytest.mark.parametrize(
    ("kind", "header", "rows"),
    [
        (
            "keys",
            ["ALIAS", "KEY", "SPEND"],
            [
                r"app +sk-\.\.\.6789 +\$0\.03 +#{40}",
                r"- +sk-\.\.\.6789 +\$0\.02 +#{27}",
                r"- +master key +\$0\.01 +#{13}",
            ],
        ),
        ("models", ["MODEL", "SPEND"], [r"demo/demo +\$0\.06 +#{40}", r"openai/gpt-4o +\$0\.00"]),
        ("teams", ["ALIAS", "ID", "SPEND"], [r"eng +t-1 +\$0\.02 +#{40}"]),
        (
            "users",
            ["ID", "EMAIL", "SPEND"],
            [r"ann +ann@x\.io +\$0\.03 +#{40}", r"default_user_id +- +\$0\.01 +#{13}"],
        ),
    ],
)
def test_rankings(kind: str, header: list[str], rows: list[str], run: Run) -> None:
    first, *others = run(kind).stdout.splitlines()
    assert first.split() == header
    assert len(others) == len(rows)
    for row, pattern in zip(others, rows, strict=True):
        assert re.fullmatch(pattern, row)
    assert len(run(kind, "--limit", "1").stdout.splitlines()) == 2
    ranked = json.loads(run(kind, "--json").stdout)
    assert [f"${one['total_spend']:.2f}" for one in ranked] == [re.findall(r"\$\S+", row)[0] for row in others]
    none = run(kind, *LONG_AGO)
    assert (none.exit_code, none.stdout) == (0, "")
    assert "No calls from 2001-01-01 to 2001-01-31." in none.stderr


def test_the_newest_calls(run: Run) -> None:
    header, failed, newest, *_ = run("logs").stdout.splitlines()
    assert header.split() == ["TIME", "(UTC)", "MODEL", "KEY", "USER", "TOKENS", "SPEND", "STATUS"]
    moment = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"
    assert re.fullmatch(rf"{moment} +gpt-4o +app +ann +0 +\$0\.00 +failed: 500", failed)
    assert re.fullmatch(rf"{moment} +demo +master key +default_user_id +\d+ +\$0\.01 +ok", newest)
    assert len(run("logs", "--limit", "2").stdout.splitlines()) == 3
    assert "No calls" in run("logs", *LONG_AGO).stderr


@pytest.mark.parametrize(
    ("arguments", "count"),
    [
        (("--virtual-key", "app"), 4),
        (("--virtual-key", "sk-of-team-0123456789"), 2),
        (("--user", "ann"), 4),
        (("--team", "t-1"), 2),
        (("--team", "t-1", "--user", "ann"), 0),
        (("--virtual-key", "nothing"), 0),
    ],
)
def test_calls_of_a_key_a_user_or_a_team(arguments: tuple[str, ...], count: int, run: Run) -> None:
    calls = json.loads(run("logs", *arguments, "--json").stdout)
    assert len(calls) == count
    for call in calls:
        assert len(json.loads(run("logs", "--virtual-key", call["api_key"], "--json").stdout)) == count


def test_a_virtual_key_sees_its_own_calls_and_not_the_total(run: Run) -> None:
    assert len(run("logs", "--key", "sk-of-team-0123456789").stdout.splitlines()) == 3
    refused = run("keys", "--key", "sk-of-team-0123456789")
    assert refused.exit_code == 1
    assert "Use the gateway's master key" in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--from", "yesterday"), "does not match the format '%Y-%m-%d'"),
        (("keys", "--from", "2001-01-02", "--to", "2001-01-01"), "--from 2001-01-02 must not be after --to 2001-01-01"),
        (("--from", "1980-01-01"), "nor more than 3660 days before it"),
        (("--from", "2001-01-01", "keys"), "unexpected extra argument (keys)"),
        (("logs", "--limit", "0"), "0 is not in the range"),
        (("nothing",), "No such command 'nothing'"),
        (("--key", "sk-wrong-0123456789"), "Use the gateway's master key: --key, TOLLWAY_MASTER_KEY"),
        (("--url", _NOWHERE), "Start one with 'tollway serve'"),
    ],
)
def test_what_went_wrong_is_said_with_the_remedy(arguments: tuple[str, ...], words: str, run: Run) -> None:
    result = run(*arguments)
    assert result.exit_code != 0
    assert words in result.stderr
    assert "Traceback" not in result.output


def test_help_teaches() -> None:
    text = CliRunner().invoke(command, ["--help"]).stdout
    for word in ("days", "keys", "logs", "--from", "TOLLWAY_URL", "tollway serve"):
        assert word in text
