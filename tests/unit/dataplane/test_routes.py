from __future__ import annotations

import pytest

from tollway.dataplane.routes import ROUTES, Route, RouteTable

TABLE = RouteTable()


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_every_row_is_found_with_the_model_of_its_path(route: Route) -> None:
    names_model = "{model}" in route.path
    for model in ("gpt-4o", "vendor/model:tag") if names_model else (None,):
        path = route.path.replace("{model}", model or "")
        assert TABLE.find(route.method, path) == (route, model)


def test_rows_are_unique_and_described() -> None:
    assert len({(route.method, route.path) for route in ROUTES}) == len(ROUTES)
    assert all(route.summary for route in ROUTES)
    about_prompts = {"generate", "count_tokens"}
    assert all((route.operation is not None) == (route.action in about_prompts) for route in ROUTES)
    assert all(route.role == "llm" for route in ROUTES if route.costs_money)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/models"),
        ("GET", "/v1/chat/completions"),
        ("POST", "/v1/chat/completions/"),
        ("GET", "/v1/models/"),
        ("POST", "/key/generate"),
        ("POST", "/openai/deployments/m/images/generations"),
    ],
)
def test_other_requests_are_not_ours(method: str, path: str) -> None:
    assert TABLE.find(method, path) == (None, None)


def test_the_methods_of_a_path_are_known() -> None:
    assert TABLE.methods("/v1/chat/completions") == ["POST"]
    assert TABLE.methods("/v1/models/x") == ["GET"]
    assert TABLE.methods("/key/generate") == []
