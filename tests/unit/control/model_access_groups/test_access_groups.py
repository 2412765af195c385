from __future__ import annotations

from typing import Any

import pytest
from tests.support.management import Management, error_of, good

PARAMS = {"model": "openai/gpt-4o", "api_key": "sk-0"}


@pytest.fixture
async def ids(plane: Management) -> list[str]:
    """Two deployments of `a` and one of `b`."""
    made = []
    for name in ("a", "a", "b"):
        body = {"model_name": name, "litellm_params": PARAMS}
        made.append(good(await plane.post("/model/new", body))["model_id"])
    return made


def groups_of(plane: Management, name: str) -> frozenset[str]:
    return plane.services.snapshot().groups[name].access_groups


async def test_a_group_of_names_has_every_deployment_of_them(plane: Management, ids: list[str]) -> None:
    body = good(await plane.post("/access_group/new", {"access_group": "beta", "model_names": ["a"]}))
    assert body == {"access_group": "beta", "model_names": ["a"], "model_ids": None, "models_updated": 2}
    assert (groups_of(plane, "a"), groups_of(plane, "b")) == (frozenset({"beta"}), frozenset())
    shown = good(await plane.get("/access_group/beta/info"))
    assert shown == {"access_group": "beta", "model_names": ["a"], "deployment_count": 2, "spend": 0.0, "budget": None}
    assert good(await plane.get("/access_group/list")) == {"access_groups": [shown]}


async def test_a_key_with_the_group_sees_its_models(plane: Management, ids: list[str]) -> None:
    good(await plane.post("/access_group/new", {"access_group": "beta", "model_ids": [ids[2]]}))
    key = (await plane.new_key(models=["beta"]))["key"]
    listed = good(await plane.get("/model/info", by=key))["data"]
    assert [one["model_name"] for one in listed] == ["b"]


async def test_an_update_sets_the_members(plane: Management, ids: list[str]) -> None:
    good(await plane.post("/access_group/new", {"access_group": "beta", "model_names": ["a"]}))
    good(await plane.send("PUT", "/access_group/beta/update", {"model_names": ["b"]}))
    assert (groups_of(plane, "a"), groups_of(plane, "b")) == (frozenset(), frozenset({"beta"}))


async def test_a_deleted_group_is_gone_with_its_budget(plane: Management, ids: list[str]) -> None:
    good(await plane.post("/access_group/new", {"access_group": "beta", "model_names": ["a", "b"]}))
    good(await plane.send("PUT", "/access_group/beta/budget", {"max_budget": 5}))
    body = good(await plane.send("DELETE", "/access_group/beta/delete"))
    assert (body["access_group"], body["models_updated"]) == ("beta", 3)
    assert groups_of(plane, "a") == frozenset()
    error_of(await plane.get("/access_group/beta/info"), 404)
    good(await plane.post("/access_group/new", {"access_group": "beta", "model_names": ["a"]}))
    assert good(await plane.get("/access_group/beta/budget"))["budget"] is None


async def test_a_budget_is_set_changed_and_taken_away(plane: Management, ids: list[str]) -> None:
    good(await plane.post("/access_group/new", {"access_group": "beta", "model_names": ["a"]}))
    path = "/access_group/beta/budget"
    shown = good(await plane.send("PUT", path, {"max_budget": 5, "budget_duration": "30d"}))
    assert (shown["spend"], shown["budget"]["max_budget"], shown["budget"]["budget_duration"]) == (0.0, 5.0, "30d")
    changed = good(await plane.send("PUT", path, {"max_budget": 7}))
    assert changed["budget"]["budget_id"] == shown["budget"]["budget_id"]
    assert changed["budget"]["max_budget"] == 7.0
    assert "beta" in plane.told
    assert good(await plane.send("DELETE", path))["budget"] is None
    error_of(await plane.send("DELETE", path), 404)


@pytest.mark.parametrize(
    ("sent", "status", "said"),
    [
        ({"access_group": "g", "model_names": ["nobody"]}, 400, "Model(s) not found: nobody"),
        ({"access_group": "g", "model_ids": ["file-1"]}, 400, "configuration file: file-1"),
        ({"access_group": "g", "model_names": ["from-file"]}, 400, "configuration file: from-file"),
        ({"access_group": "g"}, 400, "at least one model"),
        ({"access_group": "old", "model_names": ["a"]}, 409, "already exists"),
    ],
)
async def test_a_group_that_cannot_be_made_is_refused(
    plane: Management, ids: list[str], sent: dict[str, Any], status: int, said: str
) -> None:
    good(await plane.post("/access_group/new", {"access_group": "old", "model_names": ["b"]}))
    assert said in error_of(await plane.post("/access_group/new", sent), status)["message"]
    assert [one["access_group"] for one in good(await plane.get("/access_group/list"))["access_groups"]] == ["old"]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "info", None),
        ("PUT", "update", {"model_names": ["a"]}),
        ("DELETE", "delete", None),
        ("GET", "budget", None),
        ("PUT", "budget", {"max_budget": 1}),
        ("DELETE", "budget", None),
    ],
)
async def test_an_unknown_group_is_unknown(
    plane: Management, ids: list[str], method: str, path: str, body: Any
) -> None:
    error_of(await plane.send(method, f"/access_group/no/{path}", body), 404)


@pytest.mark.parametrize("budget", [{}, {"max_budget": -1}, {"budget_id": "no"}, {"budget_duration": "soon"}])
async def test_a_budget_that_is_none_is_refused(plane: Management, ids: list[str], budget: dict[str, Any]) -> None:
    good(await plane.post("/access_group/new", {"access_group": "beta", "model_names": ["a"]}))
    answer = await plane.send("PUT", "/access_group/beta/budget", budget)
    assert answer.status_code in (400, 404)
    assert good(await plane.get("/access_group/beta/budget"))["budget"] is None
