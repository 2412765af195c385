from __future__ import annotations

import pytest

from tollway.dataplane.routes import ROUTES, Route, RouteTable

TABLE = RouteTable()
NAMES = {"{model}": ("gpt-4o", "vendor/model:tag"), "{response_id}": ("resp_1",)}


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_every_row_is_found_with_what_its_path_names(route: Route) -> None:
    varying = next((name for name in NAMES if name in route.path), "")
    for name in NAMES.get(varying, (None,)):
        path = route.path.replace(varying, name or "")
        assert TABLE.find(route.method, path) == (route, name)


def test_rows_are_unique_and_described() -> None:
    assert len({(route.method, route.path) for route in ROUTES}) == len(ROUTES)
    assert all(route.summary for route in ROUTES)
    of_a_format = {"generate", "count_tokens", "get_response", "delete_response", "cancel_response", "list_input_items"}
    assert all((route.operation is not None) == (route.action in of_a_format) for route in ROUTES)
    assert all(route.role == "llm" for route in ROUTES if route.costs_money)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/models"),
        ("GET", "/v1/chat/completions"),
        ("POST", "/v1/chat/completions/"),
        ("GET", "/v1/models/"),
        ("POST", "/key/generate"),
        ("GET", "/v1/responses"),
        ("GET", "/v1/responses/a/b"),
        ("POST", "/v1/responses/a"),
        ("POST", "/openai/deployments/m/images/generations"),
    ],
)
def test_other_requests_are_not_ours(method: str, path: str) -> None:
    assert TABLE.find(method, path) == (None, None)


def test_the_methods_of_a_path_are_known() -> None:
    assert TABLE.methods("/v1/chat/completions") == ["POST"]
    assert TABLE.methods("/v1/models/x") == ["GET"]
    assert TABLE.methods("/v1/responses/x") == ["GET", "DELETE"]
    assert TABLE.methods("/key/generate") == []
