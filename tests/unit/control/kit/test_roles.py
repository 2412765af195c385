from __future__ import annotations

import re
from collections.abc import Iterator
from typing import get_args, get_type_hints

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from tests.support.management import MASTER_KEY, Management, Shared, bearer, error_of, shared_management

from tollway.control.api import role_matrix
from tollway.control.kit.body import Body
from tollway.control.kit.guard import GuardedRoute
from tollway.control.kit.late import LateRoute, late_routes
from tollway.control.kit.roles import ADMIN, ANY_KEY
from tollway.core.principal import Role
from tollway.dataplane.routes import ROUTES


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    """For those who are refused before anything is looked at."""
    with shared_management(tmp_path_factory.mktemp("roles")) as opened:
        yield opened


@pytest.fixture(scope="module")
def key(shared: Shared) -> str:
    made: str = shared.runner.run(shared.management.new_key(user_id="u-1"))["key"]
    return made


def asked(shared: Shared, method: str, path: str, *, by: str | None = None) -> httpx.Response:
    headers = bearer(by) if by else {}
    client = shared.management.client
    return shared.runner.run(client.request(method, path_of(path), headers=headers, content=b"{not json"))


def registered(app: FastAPI) -> set[tuple[str, str]]:
    found = set()
    for route in app.routes:
        assert isinstance(route, LateRoute), route
        assert isinstance(route.made, GuardedRoute), f"{route.path} has no door"
        found |= {(method, route.path) for method in route.made.methods or ()}
    return found


def path_of(pattern: str) -> str:
    return re.sub(r"\{\w+\}", "0" * 64, pattern)


MATRIX = role_matrix()
ROWS = sorted(MATRIX)


def test_every_route_has_a_row_and_every_row_a_route(management: Management) -> None:
    assert registered(management.app) == set(MATRIX)


def bodies(app: FastAPI) -> Iterator[tuple[str, str, type[Body]]]:
    for route in late_routes(app.routes):
        for hint in get_type_hints(route.endpoint).values():
            for kind in (hint, *get_args(hint)):
                if isinstance(kind, type) and issubclass(kind, Body):
                    yield from ((method, route.path, kind) for method in route.methods)


def test_every_field_of_every_body_has_a_row_and_every_row_a_field(management: Management) -> None:
    found: dict[tuple[str, str], set[str]] = {}
    for method, path, body in bodies(management.app):
        found.setdefault((method, path), set()).update(body.model_fields)
    rows = {row: set(access.fields) for row, access in MATRIX.items() if access.fields}
    assert rows == found


def test_nobody_may_set_a_field_on_a_route_they_may_not_enter() -> None:
    for row, access in MATRIX.items():
        for name, roles in access.fields.items():
            assert roles <= (access.roles or frozenset()), (row, name)


ASKS = (
    *("/spend/calculate", "/cost/estimate", "/global/spend/end_users"),
    *("/v2/key/info", "/tag/info", "/budget/info", "/organization/info"),
)
"""Questions with a body."""


def test_no_customer_and_no_viewer_changes_anything() -> None:
    looking = frozenset({Role.PROXY_ADMIN_VIEWER, Role.INTERNAL_USER_VIEWER, Role.CUSTOMER})
    own = ("POST", "/user/password/change")
    asks = {own, *(("POST", path) for path in ASKS)}
    for row, access in MATRIX.items():
        for name, roles in access.fields.items():
            assert row in asks or not roles & looking, (row, name)


def test_no_management_route_hides_behind_an_inference_route() -> None:
    assert not {(route.method, route.path) for route in ROUTES} & set(MATRIX)


@pytest.mark.parametrize(("method", "path"), [row for row in ROWS if MATRIX[row].roles is not None])
def test_nobody_gets_in_without_a_key(method: str, path: str, shared: Shared) -> None:
    response = asked(shared, method, path)
    assert error_of(response, 401) == {
        "message": "Authentication Error, No api key passed in.",
        "type": "auth_error",
        "param": "None",
        "code": "401",
    }


@pytest.mark.parametrize(("method", "path"), [row for row in ROWS if MATRIX[row].roles == ADMIN])
def test_a_virtual_key_is_no_administrator(method: str, path: str, shared: Shared, key: str) -> None:
    response = asked(shared, method, path, by=key)
    assert error_of(response, 401) == {
        "message": "Authentication Error, Only proxy admin can be used to generate, delete, update info for new "
        f"keys/users/teams. Route={path}. Your role=internal_user. Your user_id=u-1",
        "type": "auth_error",
        "param": "None",
        "code": "401",
    }


@pytest.mark.parametrize(("method", "path"), [row for row in ROWS if MATRIX[row].roles == ANY_KEY])
async def test_a_virtual_key_may_look_at_itself(method: str, path: str, management: Management) -> None:
    key = (await management.new_key())["key"]
    response = await management.client.request(method, path_of(path), headers=bearer(key), json={})
    assert response.status_code in (200, 400, 404, 422)


@pytest.mark.parametrize(("method", "path"), [row for row in ROWS if MATRIX[row].roles is None])
async def test_public_pages_need_no_key(method: str, path: str, management: Management) -> None:
    response = await management.client.request(method, path)
    assert response.status_code in (200, 307)


async def test_a_route_without_a_row_is_closed_even_to_the_administrator(management: Management) -> None:
    router = APIRouter(route_class=GuardedRoute)
    calls = []

    @router.get("/brand-new")
    async def brand_new() -> None:
        calls.append(1)

    management.app.include_router(router)
    error = error_of(await management.get("/brand-new"), 403)
    assert "no row in the role matrix" in error["message"]
    assert calls == []


async def test_allowed_routes_of_a_key_hold_here_too(management: Management) -> None:
    key = (await management.new_key(key_type="llm_api"))["key"]
    response = await management.get("/key/info", by=key)
    assert response.status_code == 403
    assert response.json().keys() == {"detail"}
    reader = (await management.new_key(key_type="read_only"))["key"]
    assert (await management.get("/key/info", by=reader)).status_code == 200


@pytest.mark.parametrize("header", ["authorization", "api-key", "x-api-key", "x-goog-api-key", "x-litellm-api-key"])
async def test_the_key_is_read_from_every_header_of_the_contract(header: str, management: Management) -> None:
    value = f"Bearer {MASTER_KEY}" if header == "authorization" else MASTER_KEY
    response: httpx.Response = await management.client.get("/key/list", headers={header: value})
    assert response.status_code == 200
