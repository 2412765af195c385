from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tollway.cli.check_config import command

Run = Callable[..., Result]

CANARY = "canary-7f3a91"
GOOD = f"""
model_list:
- model_name: fast
  litellm_params: {{model: openai/gpt-4o, api_key: {CANARY}, rpm: 60}}
- model_name: mine
  litellm_params: {{model: openai/own, api_base: 'http://localhost:8000/v1', organization: [a, b]}}
- model_name: "groq/*"
  litellm_params: {{model: "groq/*", api_key: {CANARY}}}
general_settings: {{master_key: sk-{CANARY}, database_url: 'sqlite:////data/x.db'}}
litellm_settings: {{force_ipv4: true, default_key_generate_params: {{max_budget: 1}}}}
router_settings: {{model_group_alias: {{quick: fast}}}}
environment_variables: {{GROQ_API_KEY: {CANARY}}}
"""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    def run_with(text: str | None, *options: str, **environ: str) -> Result:
        for name in ("OPENAI_API_KEY", "TOLLWAY_CONFIG", "CONFIG_FILE_PATH"):
            monkeypatch.delenv(name, raising=False)
        if text is None:
            return CliRunner().invoke(command, options, env=environ)
        file = tmp_path / "config.yaml"
        file.write_text(text, encoding="utf-8")
        return CliRunner().invoke(command, [str(file), *options], env=environ)

    return run_with


def line_with(output: str, start: str) -> list[str]:
    return next(line for line in output.splitlines() if line.strip().startswith(start)).split()


def test_it_prints_every_value_with_its_origin(run: Run) -> None:
    result = run(GOOD, TOLLWAY_PORT="4001")
    assert result.exit_code == 0
    assert line_with(result.output, "general_settings.port") == [
        "general_settings.port",
        "4001",
        "environment",
        "TOLLWAY_PORT",
    ]
    assert line_with(result.output, "general_settings.host")[1:] == ["0.0.0.0", "default"]
    assert line_with(result.output, "general_settings.master_key")[1] == "***"
    assert line_with(result.output, "general_settings.master_key")[2].endswith("config.yaml:9")
    assert line_with(result.output, "litellm_settings.default_key_generate_params")[1] == '{"max_budget":1}'


def test_it_prints_models_with_provider_address_price_and_limits(run: Run) -> None:
    output = run(GOOD).output
    fast = " ".join(line_with(output, "fast"))
    assert fast.startswith(
        "fast openai/gpt-4o https://api.openai.com/v1 $2.5 in, $10 out per million tokens (book) "
        "128,000 tokens in, 16,384 tokens out, 60 rpm "
    )
    assert "price unknown" in " ".join(line_with(output, "mine"))
    assert line_with(output, "groq/*")[1].isdigit()
    assert line_with(output, "quick") == ["quick", "fast"]


def test_warnings_come_last(run: Run) -> None:
    _, warnings = run(GOOD).output.split("About this configuration:")
    assert "litellm_settings.force_ipv4: has no effect in this release" in warnings
    assert "model mine: no price is known" in warnings


def test_no_secret_is_printed(run: Run) -> None:
    assert CANARY not in run(GOOD, OPENAI_API_KEY=CANARY).output
    assert CANARY not in run(GOOD, "--json", OPENAI_API_KEY=CANARY).output


def test_json_holds_the_same(run: Run) -> None:
    document = json.loads(run(GOOD, "--json").output)
    assert document["settings"]["general_settings.port"] == {"value": 4000, "origin": "default"}
    assert document["settings"]["general_settings.database_url"]["value"] == "sqlite:////data/x.db"
    fast = document["models"][0]
    assert (fast["model_name"], fast["provider"], fast["rpm"]) == ("fast", "openai", 60)
    assert fast["price"]["input_cost_per_token"] == 2.5e-06
    assert fast["origin"].endswith("config.yaml:3")
    assert document["aliases"] == {"quick": "fast"}
    assert any(warning["key"] == "litellm_settings.force_ipv4" for warning in document["warnings"])


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_all_problems_are_printed_and_the_exit_code_is_1(run: Run, options: tuple[str, ...]) -> None:
    result = run("general_settings:\n  prt: 1\n  host: [a]\n", *options)
    assert result.exit_code == 1
    assert "general_settings.prt" in result.output
    assert "general_settings.host" in result.output


def test_a_model_that_cannot_be_called_is_a_problem_too(run: Run) -> None:
    result = run("model_list:\n- {model_name: m, litellm_params: {model: opnai/x}}\n")
    assert result.exit_code == 1
    assert "config.yaml:2: model m: model: opnai is not a known provider; did you mean `openai/…`?" in result.output


def test_a_file_that_is_not_there_is_a_problem(run: Run) -> None:
    result = run(None, "/nowhere/config.yaml")
    assert result.exit_code == 1
    assert "/nowhere/config.yaml: there is no such file" in result.output


def test_without_a_file_it_shows_what_the_environment_comes_to(run: Run) -> None:
    output = run(None, OPENAI_API_KEY="sk-x").output
    assert line_with(output, "demo")[:2] == ["demo", "demo/demo"]
    assert "free" in line_with(output, "demo")
    assert line_with(output, "openai/*")


def test_the_help_teaches(run: Run) -> None:
    output = run(None, "--help").output
    assert "tollway check-config config.yaml" in output
    assert "the first of these counts" in " ".join(output.split())
