"""Agents that others wrote (npm), run headless and offline: Claude Code, Codex CLI and Gemini CLI.

Each is told one gateway and one key by the settings that its own manual names. It gets a home of its own and nothing of
the machine's environment; what it wants from elsewhere goes to a proxy that is not there.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support.programs import find_program

_MODULES = Path(__file__).resolve().parents[1] / "clients" / "node_modules"
_NOBODY = "http://127.0.0.1:9"
_OFFLINE = {
    **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), _NOBODY),
    **dict.fromkeys(("NO_PROXY", "no_proxy"), "127.0.0.1"),
    "GEMINI_CLI_NO_RELAUNCH": "true",  # it would start itself anew for more memory, which takes a second
}


@dataclass(frozen=True)
class Place:
    """Where an agent runs, and for whom."""

    home: Path
    work: Path
    """The folder that it works in."""
    url: str
    """The gateway."""
    key: str


@dataclass(frozen=True)
class Command:
    """How an agent is started."""

    program: str
    """`claude`, `codex` or `gemini`."""
    arguments: list[str]
    env: Mapping[str, str]


@dataclass(frozen=True)
class Ran:
    """What came of it."""

    code: int
    answer: str
    """Standard output."""
    words: str
    """Standard error: what it said while it worked."""


Agent = Callable[[Place, str, str], Command]
"""From a place, a model and a prompt to a command that may read files, and run `cat`, without asking."""


_PROGRAMS = {
    "claude": "@anthropic-ai/claude-code/cli-wrapper.cjs",  # starts without its package's installation script
    "codex": "@openai/codex/bin/codex.js",
    "gemini": "@google/gemini-cli/bundle/gemini.js",
}
PACKAGES = {"/".join(program.split("/")[:2]) for program in _PROGRAMS.values()}
"""What they are called in the registry."""


def claude_code(place: Place, model: str, prompt: str) -> Command:
    return Command(
        "claude",
        ["-p", prompt, "--allowedTools", "Read"],
        {
            "ANTHROPIC_BASE_URL": place.url,
            "ANTHROPIC_AUTH_TOKEN": place.key,
            "ANTHROPIC_MODEL": model,
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        },
    )


def codex(place: Place, model: str, prompt: str, *, over_websocket: bool = False) -> Command:
    provider = f'name="Tollway", base_url="{place.url}/v1", env_key="TOLLWAY_KEY", wire_api="responses"'
    provider += f", supports_websockets={json.dumps(over_websocket)}"
    settings = ["-c", 'model_provider="tollway"', "-c", f"model_providers.tollway={{{provider}}}"]
    # Its sandbox needs rights that a container may not have, and the command comes from the test.
    flags = ["--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox"]
    return Command("codex", ["exec", *flags, *settings, "-m", model, prompt], {"TOLLWAY_KEY": place.key})


def codex_over_websocket(place: Place, model: str, prompt: str) -> Command:
    return codex(place, model, prompt, over_websocket=True)


def gemini(place: Place, model: str, prompt: str) -> Command:
    settings = place.home / ".gemini" / "settings.json"
    settings.parent.mkdir()
    settings.write_text(json.dumps({"security": {"auth": {"selectedType": "gemini-api-key"}}}))
    return Command(
        "gemini",
        ["-m", model, "-p", prompt, "--skip-trust", "--yolo"],
        {
            "GEMINI_API_KEY": place.key,
            "GOOGLE_GEMINI_BASE_URL": place.url,
        },
    )


def run_agent(agent: Agent, place: Place, model: str, prompt: str) -> Ran:
    """Runs it to its end, which must come within a minute."""
    node = find_program("node", package="nodejs")
    command = agent(place, model, prompt)
    ran = subprocess.run(
        [node, str(_MODULES / _PROGRAMS[command.program]), *command.arguments],
        cwd=place.work,
        env={
            "PATH": os.pathsep.join((str(Path(node).parent), os.defpath)),
            "HOME": str(place.home),
            "TMPDIR": str(place.home),
            **_OFFLINE,
            **command.env,
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return Ran(ran.returncode, ran.stdout.strip(), ran.stderr)


def agent_scripts() -> dict[str, str]:
    """Scripts that start the agents offline, for a folder on the path: name and text of each."""
    node = shlex.quote(find_program("node", package="nodejs"))
    settings = " ".join(['TMPDIR="$HOME"', *(f"{name}={value}" for name, value in _OFFLINE.items())])
    return {
        name: f'#!/bin/sh\n{settings} exec {node} {shlex.quote(str(_MODULES / program))} "$@" </dev/null\n'
        for name, program in _PROGRAMS.items()
    }
