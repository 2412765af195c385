"""The systemd unit: its command runs with its environment, and it gives the gateway what it needs."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pytest
import yaml
from tests.docs.pages import CLONE
from tests.support.gateway import Gateway
from tests.support.ports import free_port
from tests.support.processes import BackgroundProcess

from tollway.config.keys import GENERAL

SYSTEMD = CLONE / "deploy" / "systemd"
ASSIGNMENT = re.compile(r"^(\w+)=(.*)$", re.MULTILINE)
UNIT = dict(ASSIGNMENT.findall((SYSTEMD / "tollway.service").read_text()))
VARIABLES = dict(word.split("=", 1) for word in shlex.split(UNIT["Environment"]))
EXAMPLE = dict(ASSIGNMENT.findall((SYSTEMD / "tollway.env.example").read_text()))


def test_its_command_serves_with_the_environment_that_it_is_given(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(
        yaml.safe_dump({"model_list": [{"model_name": "m", "litellm_params": {"model": "demo/demo"}}]})
    )
    port, data = free_port(), tmp_path / "state"
    program, *arguments = shlex.split(UNIT["ExecStart"].replace("/etc/tollway", str(tmp_path)))
    assert program == "/opt/tollway/bin/tollway"
    places = {"TOLLWAY_PORT": str(port), "TOLLWAY_DATA_DIR": str(data)}
    assert places.keys() <= VARIABLES.keys()
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), **EXAMPLE, **VARIABLES, **places}
    process = BackgroundProcess(
        [sys.executable, "-m", "tollway", *arguments], log=tmp_path / "log", env=environment, cwd=tmp_path
    )
    gateway = Gateway(port, data, process, EXAMPLE["LITELLM_MASTER_KEY"])
    try:
        process.wait_until(gateway.is_ready, what="the unit's command")
        assert gateway.chat("m", "Hi").status == 200
        process.wait_until(lambda: b"\ntollway_workers 2.0\n" in gateway.get("/metrics").body, what="its second worker")
        assert "WELL-KNOWN" in gateway.log
    finally:
        assert process.stop() == 0, process.output


def test_its_data_is_in_the_folder_that_systemd_makes() -> None:
    assert VARIABLES["TOLLWAY_DATA_DIR"] == f"/var/lib/{UNIT['StateDirectory']}"
    assert UNIT["StateDirectoryMode"] == "0700"
    assert UNIT["EnvironmentFile"].startswith(f"/etc/{UNIT['ConfigurationDirectory']}/")


def test_calls_in_flight_have_the_time_to_finish() -> None:
    assert int(UNIT["TimeoutStopSec"]) > GENERAL.by_name["graceful_shutdown_timeout"].default
    assert UNIT["KillMode"] == "mixed", "the workers are told by their supervisor"
    assert UNIT["ExecReload"] == "/bin/kill -HUP $MAINPID"


@pytest.mark.parametrize("family", ["AF_INET", "AF_INET6", "AF_UNIX"])
def test_the_network_and_the_socket_of_the_workers_valkey_are_allowed(family: str) -> None:
    assert family in UNIT["RestrictAddressFamilies"].split()
