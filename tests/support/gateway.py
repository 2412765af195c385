"""A real `tollway serve` process for tests: own port, own data folder, nothing of the machine's environment.

with running_gateway(tmp_path, config={"model_list": [...]}) as gateway:
    key = gateway.create_key(max_budget=1)
    answer = gateway.chat("demo", "Hello", key=key)
"""

from __future__ import annotations

import http.client
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from tests.support.ports import free_port
from tests.support.processes import BackgroundProcess

MASTER_KEY = "sk-master-for-the-tests-0123456789"
Config = Mapping[str, Any]


@dataclass(frozen=True)
class Answer:
    """An HTTP answer, read to its end."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def events(self) -> list[str]:
        """What follows `data: ` in each event of a stream."""
        return [event.removeprefix("data: ") for event in self.body.decode().split("\n\n") if event]


@dataclass
class Gateway:
    """A running gateway and a plain client for it."""

    port: int
    data_dir: Path
    process: BackgroundProcess
    master_key: str = MASTER_KEY
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """Everything the process has written."""
        return self.process.output

    def request(
        self, method: str, path: str, body: object = None, *, key: str | None = None, headers: Mapping[str, str] = {}
    ) -> Answer:
        """One request on a connection of its own; `body` is sent as JSON unless it is bytes already."""
        raw = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        sent = {"Content-Type": "application/json"} if raw is not None else {}
        if key is not None:
            sent["Authorization"] = f"Bearer {key}"
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)) as connection:
            connection.request(method, path, raw, {**sent, **headers})
            response = connection.getresponse()
            return Answer(
                response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
            )

    def get(self, path: str, *, key: str | None = None) -> Answer:
        return self.request("GET", path, key=key)

    def post(self, path: str, body: object, *, key: str | None = None) -> Answer:
        return self.request("POST", path, body, key=key)

    def admin(self, method: str, path: str, body: object = None) -> Any:
        """A management call with the master key that must succeed; its JSON."""
        answer = self.request(method, path, body, key=self.master_key)
        assert answer.status == 200, (answer.status, answer.body)
        return answer.json()

    def create_key(self, **fields: object) -> str:
        """A new virtual key."""
        key: str = self.admin("POST", "/key/generate", fields)["key"]
        return key

    def chat(self, model: str, text: str, *, key: str | None = None, **fields: object) -> Answer:
        """A chat completion with one user message."""
        body = {"model": model, "messages": [{"role": "user", "content": text}], **fields}
        return self.post("/v1/chat/completions", body, key=key or self.master_key)

    def is_ready(self) -> bool:
        return self._is_good("/health/readiness")

    def is_alive(self) -> bool:
        return self._is_good("/health/liveliness")

    def _is_good(self, path: str) -> bool:
        try:
            return self.get(path).status == 200
        except (OSError, http.client.HTTPException):
            return False


def launch_gateway(
    folder: Path,
    config: Config | None = None,
    *,
    args: Sequence[str] = (),
    env: Mapping[str, str] = {},
    data_dir: Path | None = None,
    waits_for_ready: bool = True,
) -> Gateway:
    """Starts `tollway serve` and waits until it is ready, or only until it answers. The same `data_dir`: a restart.

    The process gets a clean environment and `env`; without a `LITELLM_MASTER_KEY` there it is given `MASTER_KEY`.
    """
    data_dir = data_dir or folder / "data"
    data_dir.mkdir(parents=True, exist_ok=True)
    port = free_port()
    command = [sys.executable, "-m", "tollway", "serve", "--host", "127.0.0.1", "--port", str(port), *args]
    if config is not None:
        config_file = folder / "config.yaml"
        config_file.write_text(yaml.safe_dump(dict(config), sort_keys=False))
        command += ["--config", str(config_file)]
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(folder),
        "TOLLWAY_DATA_DIR": str(data_dir),
        "LITELLM_MASTER_KEY": MASTER_KEY,
        **env,
    }
    process = BackgroundProcess(command, log=folder / "gateway.log", env=environment, cwd=folder)
    gateway = Gateway(port, data_dir, process, environment["LITELLM_MASTER_KEY"])
    try:
        is_up = gateway.is_ready if waits_for_ready else gateway.is_alive
        process.wait_until(is_up, what="starting the gateway")
    except BaseException:
        process.kill()
        raise
    return gateway


@contextmanager
def running_gateway(
    folder: Path,
    config: Config | None = None,
    *,
    args: Sequence[str] = (),
    env: Mapping[str, str] = {},
    data_dir: Path | None = None,
) -> Iterator[Gateway]:
    """`launch_gateway`, and a clean end that is checked: SIGTERM, exit code 0."""
    gateway = launch_gateway(folder, config, args=args, env=env, data_dir=data_dir)
    try:
        yield gateway
    except BaseException:
        gateway.process.kill()
        raise
    if gateway.process.is_running:
        assert gateway.process.stop() == 0, gateway.log
