"""The agents themselves: each reads a file of its working folder by a tool, and answers with what is in it.

The vendor says what the file says only to a request that ends with the tool's result. What else the agents send is
replayed by `test_agents`, against every format; here it is held against what they send today.
"""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from tests.support.agents import PACKAGES, Agent, Place, claude_code, codex, codex_over_websocket, gemini, run_agent
from tests.support.aimock import Aimock
from tests.support.gateway import Gateway
from tests.support.http_server import Reply, Request, http_server
from tests.support.ledger import spend_logs

NOTE = "The bridge costs seven ducats."
FIXTURES = Path(__file__).parent / "agents"
GEMINI = "/v1beta/models/gemini-2.5-flash:streamGenerateContent"


@dataclass(frozen=True)
class Scene:
    """An agent's place, the gateway there, and the vendor behind it."""

    place: Place
    gateway: Gateway
    vendor: Aimock

    def play(self, agent: Agent, model: str, asked: str) -> None:
        """The agent reads the file, the vendor is asked twice at that path, and all of it is recorded as good."""
        calls, log = len(self.vendor.requests()), len(self.gateway.log)
        ran = run_agent(agent, self.place, model, "What does note.txt say?")
        assert (ran.code, ran.answer) == (0, NOTE), ran.words
        first, second = self.vendor.requests()[calls:]
        assert [call["path"].partition("?")[0] for call in (first, second)] == [asked, asked]
        assert "toolCalls" in first["response"]["fixture"]["response"]
        assert second["response"]["fixture"]["match"]["toolResultContains"] in NOTE
        records = spend_logs(self.gateway, self.place.key, count=2)
        assert [(record["status"], record["prompt_tokens"]) for record in records] == [("success", 60), ("success", 50)]
        assert self.gateway.log[log:] == ""


@pytest.fixture
def scene(tmp_path: Path, vendor: Aimock, gateway: Gateway, key: str) -> Scene:
    place = Place(tmp_path / "home", tmp_path / "work", gateway.url, key)
    place.home.mkdir()
    place.work.mkdir()
    (place.work / "note.txt").write_text(NOTE)
    return Scene(place, gateway, vendor)


@pytest.mark.parametrize(
    ("agent", "model", "asked"),
    [
        (claude_code, "gpt-4o", "/v1/chat/completions"),
        (codex, "gpt-5.5", "/v1/messages"),  # a name that it knows: it offers more tools than to others
        (
            codex_over_websocket,
            "gpt-5.6-sol",
            "/v1/messages",
        ),  # whose tools stand in `input`, and are called by JavaScript
        (codex_over_websocket, "gpt-4o", "/v1/responses"),
        (codex_over_websocket, "claude", "/v1/messages"),
        (gemini, "gpt-4o", "/v1/chat/completions"),
    ],
)
def test_an_agent_reads_a_file_and_answers(scene: Scene, agent: Agent, model: str, asked: str) -> None:
    scene.play(agent, model, asked)


def test_codex_searches_among_its_own_tools_for_a_model_that_has_no_such_search(scene: Scene) -> None:
    ran = run_agent(codex_over_websocket, scene.place, "gpt-5.5", "Do you have helpers?")
    assert (ran.code, ran.answer) == (0, "I can spawn helpers."), ran.words
    names = [tool["function"]["name"] for tool in scene.vendor.requests()[-1]["body"]["tools"]]
    assert "multi_agent_v1__spawn_agent" in names  # what it found is declared from then on


@pytest.mark.parametrize(
    ("agent", "fixture", "model", "asked"),
    [
        (claude_code, "claude_code", "claude", "/v1/messages"),
        (codex, "codex_cli", "gpt-4o", "/v1/responses"),
        (codex, "codex_cli_items", "gpt-5.6-sol", "/v1/messages"),
        (gemini, "gemini_cli", "gemini", GEMINI),
    ],
)
async def test_an_agent_sends_nothing_that_is_not_replayed(
    scene: Scene, agent: Agent, fixture: str, model: str, asked: str
) -> None:
    statuses: list[int] = []

    async def pass_on(request: Request) -> Reply:
        headers = {name: value for name, value in request.headers.items() if name not in ("host", "connection")}
        answer = await asyncio.to_thread(
            scene.gateway.request, request.method, request.target, request.body, headers=headers
        )
        statuses.append(answer.status)
        return Reply(answer.status, answer.body, (f"Content-Type: {answer.headers['content-type']}",))

    async with http_server(pass_on) as server:
        watched = replace(scene, place=replace(scene.place, url=server.url))
        await asyncio.to_thread(watched.play, agent, model, asked)
    assert statuses == [200, 200]
    replayed = json.loads((FIXTURES / f"{fixture}.json").read_text().replace("{model}", model))
    for request in server.requests:
        assert request.target == replayed["path"]
        assert set(_flags(request.headers)) - set(_flags(replayed["headers"])) == set()
        assert set(_shape(json.loads(request.body))) - set(_shape(replayed["body"])) == set()


def _flags(headers: dict[str, str]) -> list[str]:
    return headers.get("anthropic-beta", "").split(",")


def _shape(value: Any, path: str = "") -> Iterator[str]:
    """Where there are fields, and of what types; what tools take and callers make up is left out."""
    if isinstance(value, list):
        for item in value:
            yield from _shape(item, path)
    elif isinstance(value, dict):
        path += f"<{value['type']}>" if isinstance(value.get("type"), str) else ""
        for name, inner in value.items():
            yield f"{path}.{name}"
            if name not in ("parameters", "input_schema", "parametersJsonSchema", "args", "client_metadata"):
                yield from _shape(inner, f"{path}.{name}")


def test_the_reference_names_those_that_run_here() -> None:
    agents = [json.loads(file.read_text()) for file in FIXTURES.glob("*.json")]
    assert {agent["package"] for agent in agents if "package" in agent} == PACKAGES
    versions = json.loads((FIXTURES.parent / "package.json").read_text())["dependencies"]
    assert all(versions[package][0].isdigit() for package in PACKAGES)  # one version, not a range
