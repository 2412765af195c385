from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urljoin

import pytest
from click.testing import CliRunner
from tests.support.management import Management, good, open_management

from tollway.cli import main
from tollway.control.api import role_matrix
from tollway.control.openapi import described
from tollway.dataplane.routes import ROUTES


@pytest.fixture
async def management(tmp_path: Path) -> AsyncIterator[Management]:
    async with open_management(tmp_path, inference_routes=ROUTES) as management:
        yield management


async def test_both_planes_are_described_in_one_document(management: Management) -> None:
    paths = good(await management.client.get("/openapi.json"))["paths"]
    for route in ROUTES:
        operation = paths[route.path][route.method.lower()]
        assert operation["summary"] == route.summary
        assert bool(operation["security"]) == (route.role != "public")
        assert ("requestBody" in operation) == (route.schema is not None)
    assert paths["/key/bulk_update"]["post"]["x-roles"] == ["proxy_admin"]
    assert paths["/engines/{model}/chat/completions"]["post"]["parameters"][0]["name"] == "model"
    pages = {"/", "/docs", "/openapi.json", "/routes", "/ui", "/ui/"}
    assert {described(path) for _, path in role_matrix()} - pages <= paths.keys()
    assert paths["/fallback/{model}"]["delete"]["x-roles"] == ["proxy_admin"]


async def test_routes_are_listed(management: Management) -> None:
    listed = {route["path"]: route["methods"] for route in good(await management.client.get("/routes"))["routes"]}
    assert listed["/v1/chat/completions"] == ["POST"]
    assert listed["/key/info"] == ["GET"]


async def test_the_front_page_shows_the_api(management: Management) -> None:
    page = await management.client.get("/")
    assert page.status_code == 200
    assert "openapi.json" in page.text


async def test_the_console_says_what_to_type(management: Management) -> None:
    found = await management.client.get("/ui")
    assert (found.status_code, found.headers["location"]) == (307, "/ui/")
    page = (await management.client.get("/ui/")).text
    typed = re.search("<pre>(.*?)</pre>", page, re.DOTALL)
    assert typed is not None
    for line in typed[1].splitlines():
        program, *arguments = line.split()
        assert program == "tollway"
        taken = CliRunner().invoke(main, [*arguments, "--url", "nowhere"])
        assert "'nowhere' must begin with http://" in taken.output, "the command takes everything else"
    assert {line.split()[1] for line in typed[1].splitlines()} == {"keys", "users", "teams", "models", "spend"}
    assert [urljoin("/ui/", link) for link in re.findall('href="([^"]*)"', page)] == ["/"]
