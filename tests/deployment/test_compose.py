"""docker-compose.yml, its image and nginx: what can be checked without a container engine."""

import asyncio
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml
from tests.docs.pages import CLONE
from tests.support.http_server import Reply, http_server
from tests.support.programs import find_program
from tests.support.stack import NOT_RUN, interpolated

COMPOSE = CLONE / "docker-compose.yml"
TEXT = COMPOSE.read_text()
ENV = dict(line.split("=", 1) for line in (CLONE / ".env.example").read_text().splitlines() if re.match(r"\w+=", line))
SERVICES: dict[str, dict[str, Any]] = interpolated(yaml.safe_load(TEXT), ENV)["services"]
DOCKERFILE = (CLONE / "Dockerfile").read_text()
PROBE = CLONE / "deploy" / "image" / "tollway-probe"
LAST_STAGE = DOCKERFILE[DOCKERFILE.rindex("\nFROM ") :]


def run(*command: str) -> str:
    """Output of a program that must succeed."""
    ran = subprocess.run(command, cwd=CLONE, capture_output=True, text=True, check=False, timeout=60)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout + ran.stderr


def tool(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


def test_it_follows_the_compose_specification() -> None:
    run(tool("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", str(COMPOSE))


def test_it_has_the_services_and_ports_of_the_guide() -> None:
    always = {name for name, service in SERVICES.items() if "profiles" not in service}
    assert always == {"litellm-1", "litellm-2", "nginx", "postgres", "redis", "prometheus", "grafana"}
    published = {name: [port.split(":")[0] for port in service.get("ports", [])] for name, service in SERVICES.items()}
    assert {name: ports for name, ports in published.items() if ports and name in always} == {
        "litellm-1": ["4000"],
        "nginx": ["80"],
        "prometheus": ["9090"],
        "grafana": ["3000"],
    }


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_watched_bounded_and_started_again(name: str) -> None:
    service = SERVICES[name]
    assert service["restart"] == "unless-stopped"
    assert service["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL")
    assert service["deploy"]["resources"]["limits"].keys() == {"cpus", "memory"}
    assert service["logging"]["options"].keys() == {"max-size", "max-file"}
    assert service["security_opt"] == ["no-new-privileges:true"]


@pytest.mark.parametrize("name", sorted(set(SERVICES) - {"postgres", *NOT_RUN}))
def test_what_calls_pass_through_runs_on_a_read_only_file_system(name: str) -> None:
    assert SERVICES[name]["read_only"] is True
    assert "/tmp" in SERVICES[name]["tmpfs"]


def test_each_variable_has_an_example_and_each_example_a_use() -> None:
    used = set(re.findall(r"(?<!\$)\$\{(\w+)", TEXT))
    told = set(re.findall(r"^(?:# )?([A-Z_]+)=", (CLONE / ".env.example").read_text(), re.MULTILINE))
    assert used == told


def test_the_examples_are_those_of_the_guide() -> None:
    assert (ENV["LITELLM_MASTER_KEY"], ENV["REDIS_PASSWORD"]) == ("sk-1234", "your-redis-password")
    assert {"UI_PASSWORD", "POSTGRES_PASSWORD"} <= ENV.keys()


@pytest.mark.parametrize("name", SERVICES)
def test_every_file_that_is_mounted_exists(name: str) -> None:
    sources = [volume.split(":")[0] for volume in SERVICES[name].get("volumes", [])]
    assert [source for source in sources if source.startswith(".") and not (CLONE / source).exists()] == []


def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    run(tool("hadolint"), "--no-color", "--failure-threshold", "style", str(CLONE / "Dockerfile"))


def test_the_final_image_has_no_root_user_no_compiler_and_a_health_check() -> None:
    assert re.search(r"^USER 10001:10001$", LAST_STAGE, re.MULTILINE)
    assert re.search(r"^HEALTHCHECK .*\"tollway-probe\"", LAST_STAGE, re.MULTILINE)
    assert not re.search(r"apt-get|apk |gcc|build-essential|/usr/local/bin/uv", LAST_STAGE)
    assert LAST_STAGE.count("COPY --from=build") == 1
    assert {"title", "licenses", "version", "revision"} <= set(re.findall(r"opencontainers\.image\.(\w+)", LAST_STAGE))


def test_all_that_the_image_copies_is_let_in_by_dockerignore() -> None:
    let_in = [line[1:] for line in (CLONE / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    copied = {
        source
        for line in re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE, re.MULTILINE)
        for source in re.sub(r"--\S+ ", "", line).split()[:-1]
    }
    assert {source for source in copied if not any(source.startswith(entry) for entry in let_in)} == set()


@pytest.mark.parametrize(("status", "expected"), [(200, 0), (503, 1)])
async def test_the_probe_of_the_image_says_how_the_gateway_is(status: int, expected: int) -> None:
    async with http_server(lambda _: Reply(status, b'{"status":"so it is"}')) as server:
        port = server.url.rpartition(":")[2]
        probe = await asyncio.create_subprocess_exec(
            *(sys.executable, "-IS", str(PROBE), "/health/readiness"),
            env={"TOLLWAY_PORT": port},
            stderr=asyncio.subprocess.PIPE,
        )
        _, said = await probe.communicate()
    assert [request.target for request in server.requests] == ["/health/readiness"]
    assert probe.returncode == expected
    assert (b"so it is" in said) is bool(expected)


def test_the_probe_of_the_image_fails_where_nobody_listens() -> None:
    ran = subprocess.run(
        [sys.executable, "-IS", str(PROBE)], env={"TOLLWAY_PORT": "1"}, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 1
    assert "port 1: " in ran.stderr


def nginx_takes(text: str, folder: Path) -> None:
    """nginx finds nothing wrong with a configuration, with names of this machine in place of containers'."""
    (folder / "allowlist.conf").write_text((CLONE / "deploy" / "nginx" / "allowlist.conf").read_text())
    text = re.sub(r"litellm-\d:", "127.0.0.1:", text).replace("/tmp/", f"{folder}/")
    (folder / "nginx.conf").write_text(text.replace("/etc/nginx/certificates", str(folder)))
    assert "test is successful" in run(find_program("nginx", package="nginx"), "-t", "-c", str(folder / "nginx.conf"))


def test_nginx_takes_its_configuration(tmp_path: Path) -> None:
    nginx_takes((CLONE / "deploy" / "nginx" / "nginx.conf").read_text(), tmp_path)


def test_nginx_takes_the_sections_that_are_there_to_be_uncommented(tmp_path: Path) -> None:
    certificate = trustme.CA().issue_cert("models.example.com")
    certificate.private_key_pem.write_to_path(tmp_path / "privkey.pem")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "fullchain.pem")
    shipped = (CLONE / "deploy" / "nginx" / "nginx.conf").read_text()
    text, count = re.subn(
        r"# (?=(listen|ssl_|add_header|if |include|set_real|real_ip)[^\n]*[;}]$)", "", shipped, flags=re.MULTILINE
    )
    assert count == 11
    nginx_takes(text, tmp_path)
