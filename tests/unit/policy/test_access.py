from __future__ import annotations

import pytest

from tollway.core.errors import Forbidden
from tollway.core.principal import Grant, Principal
from tollway.policy.access import (
    ROUTE_GROUPS,
    RouteForbidden,
    allows_model,
    allows_route,
    apply_alias,
    check_model,
    check_route,
)


def holder(*models: str, is_admin: bool = False) -> Principal:
    grants = (Grant("key", frozenset(models)),) if models else ()
    return Principal(key_hash="h", grants=grants, is_admin=is_admin)


@pytest.mark.parametrize(
    ("models", "model", "is_allowed"),
    [
        ((), "anything", True),
        (("gpt-4o",), "gpt-4o", True),
        (("gpt-4o",), "gpt-4o-mini", False),
        (("gpt-4o",), "GPT-4o", False),
        (("openai/*",), "openai/gpt-4o", True),
        (("openai/*",), "azure/gpt-4o", False),
        (("openai/*",), "openai", False),
        (("*",), "anything", True),
        (("*-mini",), "gpt-4o-mini", True),
        (("*-mini",), "gpt-4o-mini-2", False),
        (("a*b*c", "x*y"), "a.b..c", True),
        (("a*b*c", "x*y"), "x\ny", True),
        (("a*b*c", "x*y"), "a.c", False),
        (("gpt.4*o",), "gpt-4o", False),
        (("all-proxy-models",), "anything", True),
        (("no-default-models",), "anything", False),
        (("no-default-models", "gpt-4o"), "gpt-4o", True),
    ],
)
def test_a_list_of_models_allows_names_and_patterns(models: tuple[str, ...], model: str, is_allowed: bool) -> None:
    assert allows_model(holder(*models), model) is is_allowed


def test_an_access_group_in_the_list_allows_the_models_of_its_deployments() -> None:
    principal = holder("cheap")
    assert allows_model(principal, "gpt-4o-mini", access_groups=frozenset({"cheap", "fast"}))
    assert not allows_model(principal, "gpt-4o", access_groups=frozenset({"fast"}))


def test_the_master_key_may_call_everything() -> None:
    check_model(holder("gpt-4o", is_admin=True), "other")


def test_a_refused_model_does_not_tell_whether_it_exists() -> None:
    with pytest.raises(Forbidden) as refusal:
        check_model(holder("gpt-4o"), "priced")
    error = refusal.value
    assert error.message == (
        "The requested model 'priced' is not available for this API key, or the model name is invalid. "
        "Check the models available to you and try again."
    )
    assert (error.status, error.type, error.param) == (403, "key_model_access_denied", "model")


def test_an_alias_of_the_key_stands_for_a_model() -> None:
    principal = Principal(key_hash="h", aliases={"fast": "gpt-4o-mini"})
    assert apply_alias(principal, "fast") == "gpt-4o-mini"
    assert apply_alias(principal, "gpt-4o") == "gpt-4o"


@pytest.mark.parametrize(
    ("allowed", "path", "is_allowed"),
    [
        ((), "/anything", True),
        (("/v1/models",), "/v1/models", True),
        (("/v1",), "/v1/chat/completions", True),
        (("/v1/",), "/v1/models", True),
        (("/v1",), "/v1beta/models", False),
        (("/v1",), "/models", False),
        (("/v1/chat*",), "/v1/chat/completions", True),
        (("/v1/chat*",), "/v1/completions", False),
        (("/",), "/anything", True),
        (("/key/*/regenerate",), "/key/sk-1/regenerate", True),
        (("/key/*/regenerate",), "/key/sk-1/delete", False),
        (("llm_api_routes",), "/v1/chat/completions", True),
        (("llm_api_routes",), "/engines/gpt-4o/chat/completions", True),
        (("llm_api_routes",), "/v1/models/gpt-4o", True),
        (("llm_api_routes",), "/key/generate", False),
        (("management_routes",), "/key/generate", True),
        (("management_routes",), "/key/k1/regenerate", True),
        (("management_routes",), "/user/new", True),
        (("key_management_routes",), "/user/new", False),
        (("management_routes",), "/chat/completions", False),
        (("info_routes",), "/key/info", True),
        (("info_routes",), "/key/generate", False),
        (("info_routes", "/embeddings"), "/embeddings", True),
        (("no_such_group",), "/key/info", False),
    ],
)
def test_allowed_routes_are_paths_prefixes_patterns_and_groups(
    allowed: tuple[str, ...], path: str, is_allowed: bool
) -> None:
    assert allows_route(allowed, path) is is_allowed


def test_a_refused_route_names_what_is_allowed() -> None:
    with pytest.raises(RouteForbidden) as refusal:
        check_route(Principal(key_hash="h", allowed_routes=("info_routes", "/health")), "/key/generate")
    assert refusal.value.status == 403
    assert refusal.value.message == (
        "This key is not allowed to call /key/generate. Its allowed_routes: info_routes, /health."
    )


def test_routes_of_the_master_key_are_not_limited() -> None:
    check_route(Principal(key_hash="h", allowed_routes=("/health",), is_admin=True), "/key/generate")


def test_presets_of_key_types_are_groups() -> None:
    assert {"llm_api_routes", "management_routes", "info_routes"} <= ROUTE_GROUPS.keys()
    assert all(route.startswith("/") for routes in ROUTE_GROUPS.values() for route in routes)


def test_a_teams_own_model_needs_the_keys_word_not_the_teams() -> None:
    grants = (Grant("team", frozenset({"other"})), Grant("org", frozenset({"other"})))
    check_model(Principal(key_hash="h", grants=grants), "own", is_of_team=True)
    assert not allows_model(Principal(key_hash="h", grants=grants), "own")
    narrow = Principal(key_hash="h", grants=(Grant("key", frozenset({"other"})), *grants))
    assert not allows_model(narrow, "own", is_of_team=True)
    with pytest.raises(Forbidden) as refused:
        check_model(narrow, "own", is_of_team=True)
    assert refused.value.type == "key_model_access_denied"
