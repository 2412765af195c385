"""The description of the API: every route in words, and examples that the routes accept."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.management import Management, good, open_management

from tollway.control import openapi
from tollway.control.kit.body import WARNING_HEADER
from tollway.dataplane.routes import ROUTES

IN_ORDER = (
    *("/budget/new", "/organization/new", "/team/new", "/user/new", "/team/member_add", "/project/new"),
    *("/customer/new", "/tag/new", "/key/generate", "/key/service-account/generate", "/model/new"),
)
"""Routes with an example, so that what an example names has been made by one before it."""
SAME_BODY = {"/tag/update", "/end_user/new"}
"""Further routes that take one of these bodies."""


@pytest.fixture
async def management(tmp_path: Path) -> AsyncIterator[Management]:
    environ = {"OPENAI_API_KEY": "sk-of-the-environment-0123"}
    async with open_management(tmp_path, config={}, environ=environ, inference_routes=ROUTES) as management:
        yield management


async def describe(management: Management) -> dict[str, Any]:
    document: dict[str, Any] = good(await management.client.get("/openapi.json"))
    return document


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method, path, operation


def examples(document: dict[str, Any]) -> dict[str, list[Any]]:
    """Bodies that the document shows, by path."""
    found = {}
    for _, path, operation in operations(document):
        schema = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
        name = schema.get("$ref", "").rpartition("/")[2]
        shown = document["components"]["schemas"].get(name, {}).get("examples")
        if shown:
            found[path] = shown
    return found


async def test_every_route_says_what_it_does(management: Management) -> None:
    for method, path, operation in operations(await describe(management)):
        summary = operation["summary"]
        said = " ".join(operation.get("description", summary).split())
        assert said.startswith(summary), f"{method} {path}: {summary}"
        assert summary[0].isupper(), f"{method} {path}: {summary}"
        assert not summary.startswith("The same"), f"{method} {path} is described by another route"


async def test_the_routes_that_are_used_most_have_examples(management: Management) -> None:
    assert examples(await describe(management)).keys() == {*IN_ORDER, *SAME_BODY}


async def test_every_example_is_accepted(management: Management) -> None:
    shown = examples(await describe(management))
    for path in IN_ORDER:
        for body in shown[path]:
            answer = await management.post(path, body)
            assert answer.status_code == 200, f"{path} {body}: {answer.text}"
            assert WARNING_HEADER not in answer.headers, f"{path}: {answer.headers[WARNING_HEADER]}"
    for body in shown["/tag/update"]:
        good(await management.post("/tag/update", body))


async def test_the_description_is_made_once(management: Management) -> None:
    assert openapi.describe(management.app) is openapi.describe(management.app)
