"""Only routes that somebody asks for are made."""

from __future__ import annotations

from fastapi import FastAPI
from fastapi.routing import APIRoute
from tests.support.management import Management

from tollway.control.kit.guard import resource_router
from tollway.control.kit.late import LateRouter, late_routes


def made(app: FastAPI) -> set[tuple[str, str]]:
    return {
        (method, route.path) for route in late_routes(app.routes) if "made" in vars(route) for method in route.methods
    }


async def answer() -> str:
    return ""


async def test_a_route_is_made_at_its_first_request_and_kept() -> None:
    router = LateRouter()
    router.get("/thing")(answer)
    router.post("/thing/{id}")(answer)
    first, second = late_routes(router.routes)
    assert (first.methods, first.path) == (frozenset({"GET"}), "/thing")
    assert (second.methods, second.path) == (frozenset({"POST"}), "/thing/{id}")
    scope = {"type": "http", "method": "GET", "path": "/thing", "root_path": ""}
    first.matches(scope)
    second.matches(scope)
    assert "made" in vars(first)
    assert "made" not in vars(second)
    assert first.made is first.made
    assert isinstance(first.made, APIRoute)


async def test_options_of_the_router_hold_for_its_routes() -> None:
    router = resource_router("things")
    router.get("/thing", tags=["more"])(answer)
    (route,) = late_routes(router.routes)
    assert route.made.tags == ["things", "more"]


async def test_a_method_that_is_not_there_is_refused_as_ever(management: Management) -> None:
    assert (await management.send("DELETE", "/key/list")).status_code == 405
    assert (await management.get("/key/list/of/nothing")).status_code == 404


async def test_a_request_makes_the_routes_of_its_path_alone(management: Management) -> None:
    before = made(management.app)
    await management.get("/customer/list")
    assert made(management.app) - before <= {("GET", "/customer/list")}
