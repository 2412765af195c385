"""The agents themselves: each reads a file of its working folder by a tool, and answers with what is in it.

The vendor says what the file says only to a request that ends with the tool's result. What the agents send otherwise is
in `test_agents`, against every format.
"""

from pathlib import Path

import pytest
from tests.support.agents import Agent, Place, claude_code, codex, codex_over_websocket, gemini, run_agent
from tests.support.aimock import Aimock
from tests.support.gateway import Gateway
from tests.support.ledger import spend_logs

NOTE = "The bridge costs seven ducats."


@pytest.fixture
def place(tmp_path: Path, gateway: Gateway, key: str) -> Place:
    made = Place(tmp_path / "home", tmp_path / "work", gateway.url, key)
    made.home.mkdir()
    made.work.mkdir()
    (made.work / "note.txt").write_text(NOTE)
    return made


@pytest.mark.parametrize(
    ("agent", "model", "asked"),
    [
        (claude_code, "claude", "/v1/messages"),
        (claude_code, "gpt-4o", "/v1/chat/completions"),
        (codex, "gpt-4o", "/v1/responses"),
        (codex, "claude", "/v1/messages"),
        (codex_over_websocket, "gpt-4o", "/v1/responses"),
        (codex_over_websocket, "claude", "/v1/messages"),
        (gemini, "gemini", "/v1beta/models/gemini-2.5-flash:streamGenerateContent"),
        (gemini, "gpt-4o", "/v1/chat/completions"),
    ],
)
def test_an_agent_reads_a_file_and_answers(
    place: Place, vendor: Aimock, gateway: Gateway, agent: Agent, model: str, asked: str
) -> None:
    calls, log = len(vendor.requests()), len(gateway.log)
    ran = run_agent(agent, place, model, "What does note.txt say?")
    assert (ran.code, ran.answer) == (0, NOTE), ran.words
    first, second = vendor.requests()[calls:]
    assert [call["path"].partition("?")[0] for call in (first, second)] == [asked, asked]
    assert "toolCalls" in first["response"]["fixture"]["response"]
    assert second["response"]["fixture"]["match"]["toolResultContains"] in NOTE
    records = spend_logs(gateway, place.key, count=2)
    assert [(record["status"], record["prompt_tokens"]) for record in records] == [("success", 60), ("success", 50)]
    assert gateway.log[log:] == ""
