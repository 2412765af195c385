"""Settings over the API, in a real process: a change acts on the next call, survives a restart, and tells no secret."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.support.databases import empty_database
from tests.support.gateway import Answer, Gateway, running_gateway

SECRET = "sk-canary-of-a-setting-0123456789"
CONFIG = {
    "model_list": [{"model_name": "helper", "litellm_params": {"model": "demo/demo"}}],
    "general_settings": {"completion_model": "nobody"},
}


def change(gateway: Gateway, **sections: object) -> Answer:
    answer = gateway.request("POST", "/config/update", sections, key=gateway.master_key)
    assert answer.status == 200, answer.body
    return answer


def ask_without_a_model(gateway: Gateway) -> int:
    body = {"messages": [{"role": "user", "content": "Hi"}]}
    return gateway.post("/v1/chat/completions", body, key=gateway.master_key).status


def test_a_change_acts_on_the_next_call_and_survives_a_restart(tmp_path: Path) -> None:
    database = empty_database("postgres", tmp_path)
    for name, env in (("sqlite", {}), ("postgres", {"DATABASE_URL": database, "LITELLM_SALT_KEY": "sk-salt-01234567"})):
        folder = tmp_path / name
        folder.mkdir()
        with running_gateway(folder, CONFIG, env=env) as gateway:
            assert ask_without_a_model(gateway) == 400
            told = change(
                gateway,
                general_settings={"completion_model": "helper", "log_format": "json"},
                environment_variables={"VENDOR_KEY": SECRET},
            )
            assert ask_without_a_model(gateway) == 200
            assert told.headers["x-tollway-warning"] == "general_settings.log_format: takes effect at the next start"
            os.kill(gateway.process.pid, signal.SIGHUP)
            gateway.process.wait_until(lambda: "Configuration reloaded" in gateway.log, what="reloading")
            assert ask_without_a_model(gateway) == 200
            data_dir = gateway.data_dir
        with running_gateway(folder, CONFIG, env=env, data_dir=data_dir) as gateway:
            assert ask_without_a_model(gateway) == 200
            gateway.admin("POST", "/config/field/delete", {"field_name": "completion_model"})
            assert ask_without_a_model(gateway) == 400
        assert SECRET not in gateway.log
        last = json.loads(gateway.log.splitlines()[-1])  # what needed a start is in force after one
        assert last["message"].startswith("Stopped")
        assert SECRET.encode() not in b"".join(file.read_bytes() for file in folder.rglob("*") if file.is_file())


def test_check_config_counts_them_where_it_is_asked_to(tmp_path: Path) -> None:
    with running_gateway(tmp_path, CONFIG) as gateway:
        change(gateway, general_settings={"completion_model": "helper"})
    environment = {"HOME": str(tmp_path), "TOLLWAY_DATA_DIR": str(gateway.data_dir), "PATH": os.environ["PATH"]}

    def origin(*options: str) -> str:
        command = [sys.executable, "-m", "tollway", "check-config", str(tmp_path / "config.yaml"), "--json", *options]
        ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        said: str = json.loads(ran.stdout)["settings"]["general_settings.completion_model"]["origin"]
        return said

    assert origin("--with-database") == "database"
    assert origin().endswith("config.yaml:6")
