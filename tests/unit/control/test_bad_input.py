"""Whatever is sent to whatever route: never a 5xx, always an envelope of the contract, and nothing half-written.

Generated from the routers, so that a new route or field is tried without anybody thinking of it.
"""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from tests.support.management import MASTER_KEY, Shared, bearer, is_envelope, shared_management
from tests.support.management_routes import ManagementRoute, management_routes, plausible

ROUTES = management_routes()
WITH_BODY = [route for route in ROUTES if route.bodies]
WITH_PATH = [route for route in ROUTES if route.varies]
WITH_QUERY = [route for route in ROUTES if route.queries]

NASTY: tuple[Any, ...] = (
    None,
    True,
    -1,
    -0.01,
    2**63,
    10**30,
    1e308,
    float("nan"),
    float("-inf"),
    "",
    " ",
    "x" * 1_001,
    "x" * 1_000_001,
    "'; DROP TABLE virtual_keys; --",
    '" OR ""="',
    "%' OR '1'='1",
    "../../etc/passwd",
    "..%2f..%2fetc%2fpasswd",
    "a\0b",
    "\ud800",
    "\u202e\u0000",
    "\r\nx-injected: 1",
    "ünï 🐍",
    "os.environ/LITELLM_MASTER_KEY",
    [],
    {},
    [None],
    [[]],
    ["known", "known"],
    ["x" * 1_001],
    [-1, "a", {}, None],
    {"": None},
    {"known": None},
    {"known": -1},
    {"known": {"max_budget": -1}},
    {"known": {"max_budget": 10**30, "budget_duration": "x"}},
    {"a\0b": 1},
    {"known": 10**30},
    {"known": ["\0"]},
)
"""Values that some field or other could stumble over. Each field is tried with a few of them, always the same few."""
_TRIES = 3

RAW = (
    b"",
    b"null",
    b"[]",
    b'"text"',
    b"7",
    b"{",
    b'{"a": }',
    b"\xff\xfe\x00{",
    b'{"user_id": "\xff"}',
    b'{"a": "\\ud800"}',
    b'{"a": ' + b"9" * 5_000 + b"}",
    b'{"a": NaN, "b": Infinity}',
    b"[" * 100_000,
    b'{"a":' * 900 + b"1" + b"}" * 900,
    b'{"metadata":' + b'{"a":' * 300 + b"1" + b"}" * 301,
    b'{"metadata": {"a": "' + b"x" * 1_100_000 + b'"}}',
)
"""Bodies that are no object, or no JSON, or too much of it."""

SEGMENTS = (
    "..%2f..%2fetc%2fpasswd",
    "%2e%2e",
    "%00",
    "a%00b",
    "%ff%fe",
    "%27%20OR%201%3D1--",
    "x" * 5_000,
    "%F0%9F%90%8D",
    "sk-%0d%0ax",
    "%25",
)

QUERIES = (
    "",
    "%00",
    "-1",
    "0",
    str(10**30),
    "1e400",
    "nan",
    "true",
    "%27%20OR%201%3D1--",
    "x" * 5_000,
    "%ff",
    "..%2f",
    "9999-99-99",
    "0001-01-01",
    "9999-12-31",
    "2026-01-01 00:00:00",
    "[]",
    "known",
)


SEEDS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("/key/generate", {"key_alias": "known", "key": "sk-known-0123456789"}),
    ("/customer/new", {"user_id": "known", "max_budget": 1}),
    ("/tag/new", {"name": "known", "max_budget": 1}),
    ("/v1/access_group", {"access_group_name": "known"}),
    ("/budget/new", {"budget_id": "known", "max_budget": 1}),
    ("/user/new", {"user_id": "known", "auto_create_key": False}),
    ("/team/new", {"team_id": "known"}),
    ("/organization/new", {"organization_id": "known", "organization_alias": "known"}),
)
"""Something of each sort, so that requests get further than to "no such thing"."""


class Watch:
    """Sends requests, and looks at every answer and at what it left behind."""

    def __init__(self, shared: Shared) -> None:
        self._management = shared.management
        self._run = shared.runner.run
        self._database = sqlite3.connect(shared.folder / "tollway.db")

    def send(self, method: str, address: str, content: bytes = b"") -> httpx.Response:
        self._run(self._management.ledger.flush())
        before = self._version()
        response = self._run(self._send(method, address, content))
        what = (method, address[:200], content[:300], response.status_code, response.text[:500])
        assert response.status_code < 500, what
        if response.status_code >= 400:
            assert is_envelope(response), what
            assert self._version() == before, ("half-written", *what)
        assert "x-injected" not in response.headers, what
        return response

    def seed(self) -> None:
        """Makes what is missing."""
        for path, body in SEEDS:
            self._run(self._management.post(path, body))

    def close(self) -> None:
        self._database.close()

    async def _send(self, method: str, address: str, content: bytes) -> httpx.Response:
        headers = bearer(MASTER_KEY) | {"content-type": "application/json"}
        return await self._management.client.request(
            method, httpx.URL(f"http://gateway{address}"), headers=headers, content=content
        )

    def _version(self) -> Any:
        """Changes when anybody else commits something."""
        return self._database.execute("PRAGMA data_version").fetchone()


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watch]:
    with shared_management(tmp_path_factory.mktemp("bad-input")) as shared:
        watch = Watch(shared)
        yield watch
        watch.close()


@pytest.fixture
def watch(opened: Watch) -> Watch:
    opened.seed()
    return opened


def encoded(body: dict[str, Any]) -> bytes:
    """JSON with everything in it that Python's own decoder takes: NaN, halves of surrogate pairs."""
    return json.dumps(body).encode()


def names(route: ManagementRoute) -> str:
    return f"{route.method} {route.path}"


@pytest.mark.parametrize("route", WITH_BODY, ids=names)
def test_no_value_of_any_field_breaks_a_route(route: ManagementRoute, watch: Watch) -> None:
    for body in route.bodies:
        for name in body.model_fields:
            for value in random.Random(f"{route.path} {name}").sample(NASTY, _TRIES):
                content = encoded(plausible(body) | {name: value})
                watch.send(route.method, route.address(), content=content)


@pytest.mark.parametrize("route", WITH_BODY, ids=names)
def test_no_body_breaks_a_route(route: ManagementRoute, watch: Watch) -> None:
    for raw in RAW:
        response = watch.send(route.method, route.address(), content=raw)
        if raw.startswith((b"[", b'"', b"7", b"\xff")):
            assert response.status_code in (400, 422)


@pytest.mark.parametrize("route", WITH_BODY, ids=names)
def test_an_unknown_field_is_accepted_and_named(route: ManagementRoute, watch: Watch) -> None:
    for body in route.bodies:
        content = encoded(plausible(body) | {"no_such_field\r\nx-injected: 1": 1})
        response = watch.send(route.method, route.address(), content=content)
        if response.status_code < 300 and not route.path.startswith("/management/v1"):
            assert "no_such_field" in response.headers["x-tollway-warning"]


@pytest.mark.parametrize("route", WITH_PATH, ids=names)
def test_no_path_breaks_a_route(route: ManagementRoute, watch: Watch) -> None:
    content = encoded(plausible(route.bodies[0])) if route.bodies else b""
    for segment in SEGMENTS:
        watch.send(route.method, route.address(segment), content=content)


@pytest.mark.parametrize("route", WITH_QUERY, ids=names)
def test_no_query_breaks_a_route(route: ManagementRoute, watch: Watch) -> None:
    content = encoded(plausible(route.bodies[0])) if route.bodies else b""
    for name in route.queries:
        for value in QUERIES:
            watch.send(route.method, f"{route.address()}?{name}={value}", content=content)
    watch.send(route.method, f"{route.address()}?%00=%00&&=&;", content=content)


def test_every_sort_of_route_is_tried() -> None:
    assert min(len(WITH_BODY), len(WITH_PATH), len(WITH_QUERY)) > 3
    assert {route.path for route in WITH_BODY} >= {"/key/generate", "/customer/new", "/tag/new", "/v1/access_group"}


def test_what_looks_like_sql_is_text(watch: Watch) -> None:
    name = "'; DROP TABLE virtual_keys; --"
    watch.send("POST", "/key/generate", encoded({"key_alias": name}))
    shown = watch.send("GET", f"/key/list?{urlencode({'key_alias': name})}")
    assert shown.json()["total_count"] == 1
