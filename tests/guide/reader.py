"""Somebody who goes through the guide with the whole stack running, and types in what it says."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass, replace
from subprocess import CompletedProcess

from tests.guide.checks import CHECKS, GREETING, STORY, USER
from tests.guide.guide import Command
from tests.support.stack import REPLICAS, Stack

NOT_COVERED = {
    "open http://localhost:3000": "no package has Grafana; what it is provisioned with is checked by tests/deployment",
    "open http://localhost:9090": "its pages are in other packages; Prometheus is asked over its API instead",
}
"""Commands that cannot be run here, and why."""
TYPED_INTO = {
    "docker-compose exec postgres psql -U litellm -d litellm": "SELECT 6 * 7;\n",
    "docker-compose exec redis redis-cli -a your-redis-password": "PING\n",
}
"""What is typed into programs that wait for somebody to type."""
SERVICES = "postgres|redis|litellm-1|litellm-2|nginx|prometheus"
SHOWN = {
    "docker-compose up -d": rf"Container ({SERVICES})  Started",
    "docker-compose down": r"(?s)Container nginx  Stopped.*Container postgres  Stopped",
    "docker-compose logs -f litellm-1": r"listens on http",
    "docker-compose logs --tail=100 litellm-1": r"litellm-1  \| .*listens on http",
    "docker-compose logs litellm-1": r"litellm-1  \| .*listens on http",
    "docker-compose logs postgres": r"postgres  \| .*database system is ready",
    "docker-compose logs redis": r"redis  \| .*Ready to accept connections",
    "docker-compose logs": r"(?s)litellm-1  \| .*nginx  \| ",
    "docker-compose ps": r"(?s)litellm-1 +Up \(healthy\).*litellm-2 +Up \(healthy\).*nginx +Up \(healthy\)",
    "docker-compose restart": r"Container litellm-1  Stopped\nContainer litellm-1  Started",
    'docker-compose exec postgres psql -U litellm -d litellm -c "\\dt"': r"public \| ledger",
    "docker-compose exec postgres psql -U litellm -d litellm -c": r"\n +\d+ \| litellm +\|",
    "docker-compose exec postgres psql": r"\b42\b",
    "docker-compose exec postgres pg_dump -U litellm litellm > backup.sql": r"^$",
    'docker-compose exec redis redis-cli -a your-redis-password KEYS "*"': r"\{tollway\}:",
    "docker-compose exec redis redis-cli -a your-redis-password INFO memory": r"maxmemory_policy:noeviction",
    "docker-compose exec redis redis-cli -a your-redis-password FLUSHALL": r"^OK$",
    "docker-compose exec redis redis-cli": r"^PONG$",
}
"""What commands print, by how they begin; the first that fits."""


@dataclass
class Reader:
    """Runs commands of the guide; what comes of them must be what the guide says."""

    stack: Stack

    def follow(self, command: Command) -> None:
        """One command, with entities of its own."""
        self._come_to_where_the_guide_is(command)
        if command.language == "python":
            self._run_program(command)
        elif command.is_curl:
            self._ask(command)
        elif command.text.strip().startswith("docker-compose "):
            self._manage(command)
        else:
            assert "=" in command.text, f"nobody knows how to run {command.text}"
            self._set_passwords(command)

    def run(self, text: str, *, typed: str = "") -> CompletedProcess[str]:
        """What a shell makes of it."""
        return subprocess.run(
            ["bash", "-c", self.stack.made_real(text)],
            env=self.stack.environment,
            cwd=self.stack.folder,
            input=typed,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def _come_to_where_the_guide_is(self, command: Command) -> None:
        """Everything runs, and the user whom the guide speaks of is there unless the command makes it."""
        if not all(service.is_running for service in self.stack.services.values()):
            self.stack.start()
        self.stack.wait_until_ready()
        if USER in command.text:
            self.stack.proxy.admin("POST", "/user/update", {"user_id": USER})
            if command.name == "POST /user/new":
                self.stack.proxy.admin("POST", "/user/delete", {"user_ids": [USER]})

    def _with_entities(self, command: Command) -> tuple[Command, str]:
        key, text = self.stack.proxy.create_key(), command.text
        if "team-uuid" in text:
            team_id = self.stack.proxy.admin("POST", "/team/new", {"team_alias": "of the guide"})["team_id"]
            text = text.replace("team-uuid-here", team_id).replace("team-uuid", team_id)
        for placeholder in ("sk-your-virtual-key", "sk-your-key"):
            text = text.replace(placeholder, key)
        return replace(command, text=text), key

    def _ask(self, command: Command) -> None:
        real, key = self._with_entities(command)
        (self.stack.folder / ".curlrc").write_text('silent\nshow-error\nwrite-out = "\\n%{http_code}"\n')
        ran = self.run(real.text)
        body, _, status = ran.stdout.rpartition("\n")
        assert ran.returncode == 0, ran.stderr
        if command.name == "GET /metrics":
            assert status == "200"
            assert "# TYPE litellm_proxy_total_requests_metric" in body
        elif "-d" in command.text and command.body.get("stream"):
            assert status == "200", body
            _is_the_story(body)
        else:
            expected, check = CHECKS[command.name]
            assert int(status) == expected, body
            check(real, key, json.loads(body))

    def _run_program(self, command: Command) -> None:
        real, _ = self._with_entities(command)
        program = self.stack.folder / "program.py"
        program.write_text(self.stack.made_real(real.text))
        ran = self.run(f"{sys.executable} {program}")
        assert ran.returncode == 0, ran.stderr
        assert GREETING in ran.stdout
        assert (STORY in ran.stdout) is ("Tell me a story" in command.text)

    def _manage(self, command: Command) -> None:
        text = command.text.strip()
        before = {name: self.stack.pid(name) for name in REPLICAS}
        if " -f " in text:
            ran = self.run(f"timeout 1 {text}")
            assert ran.returncode == 124, "it follows until it is stopped"
        else:
            ran = self.run(text, typed=TYPED_INTO.get(text, ""))
            assert ran.returncode == 0, ran.stdout + ran.stderr
        shown = next(pattern for beginning, pattern in SHOWN.items() if text.startswith(beginning))
        assert re.search(shown, ran.stdout, re.MULTILINE), ran.stdout
        if "FLUSHALL" in text:
            assert self.stack.proxy.chat("demo", "Hello!").status == 200
        restarted = {name for name in REPLICAS if self.stack.pid(name) != before[name]}
        assert restarted == _restarts(text)

    def _set_passwords(self, command: Command) -> None:
        """Lines of `.env`: the compose file asks for each of these variables."""
        for line in command.text.splitlines():
            name = line.partition("=")[0].strip()
            assert name in self.stack.env
            assert f"${{{name}:" in (self.stack.folder / "docker-compose.yml").read_text()


def _restarts(text: str) -> set[str]:
    """The gateways that a command starts anew."""
    if "--force-recreate" in text or text == "docker-compose restart":
        return set(REPLICAS)
    return {name for name in REPLICAS if "restart" in text and name in text}


def _is_the_story(body: str) -> None:
    *events, last = [line.removeprefix("data: ") for line in body.split("\n\n") if line.strip()]
    assert last == "[DONE]"
    text = "".join(json.loads(event)["choices"][0]["delta"].get("content") or "" for event in events)
    assert text.startswith(STORY)
