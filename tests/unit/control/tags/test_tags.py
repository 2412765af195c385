from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.support.management import Management, error_of, good, make_group, make_snapshot, open_management

from tollway.core.record import Charge


async def new(management: Management, name: str = "prod", **fields: Any) -> dict[str, Any]:
    made: dict[str, Any] = good(await management.post("/tag/new", {"name": name, **fields}))
    return made


async def info(management: Management, name: str = "prod") -> dict[str, Any]:
    shown: dict[str, Any] = good(await management.post("/tag/info", {"names": [name]}))[name]
    return shown


def detail_of(response: httpx.Response, status: int) -> str:
    assert response.status_code == status, response.text
    body = response.json()
    assert body.keys() == {"detail"}
    assert isinstance(body["detail"], str)
    return body["detail"]


async def test_a_new_tag_is_shown(management: Management) -> None:
    made = await new(management, description="Production", models=["id-1"], max_budget=5)
    assert made["message"] == "Tag prod created successfully"
    assert made["tag"] == {
        "name": "prod",
        "description": "Production",
        "models": ["id-1"],
        "model_info": {},
        "created_at": "2026-01-14T10:17:23Z",
        "updated_at": "2026-01-14T10:17:23Z",
        "created_by": "default_user_id",
    }
    shown = await info(management)
    assert {name: shown[name] for name in made["tag"]} == made["tag"]
    assert (shown["spend"], shown["litellm_budget_table"]["max_budget"]) == (0.0, 5.0)
    assert shown["budget_id"] == shown["litellm_budget_table"]["budget_id"]


async def test_models_are_shown_with_their_public_names(tmp_path: Path) -> None:
    group = make_group("gpt-4o")
    snapshot = make_snapshot(group)
    snapshot.by_id[group.deployments[0].id] = group
    async with open_management(tmp_path, snapshot=snapshot) as management:
        made = await new(management, models=["id-of-gpt-4o", "gone"])
        assert made["tag"]["model_info"] == {"id-of-gpt-4o": "gpt-4o"}


async def test_a_tag_exists_once(management: Management) -> None:
    await new(management)
    assert detail_of(await management.post("/tag/new", {"name": "prod"}), 400) == "Tag prod already exists"


async def test_only_what_is_sent_changes_and_null_clears(management: Management) -> None:
    await new(management, description="Production", models=["id-1"], max_budget=5, rpm_limit=2)
    management.clock.advance(10)
    changed = good(await management.post("/tag/update", {"name": "prod", "models": None, "rpm_limit": None}))
    assert changed["message"] == "Tag prod updated successfully"
    assert (changed["tag"]["description"], changed["tag"]["models"]) == ("Production", [])
    assert changed["tag"]["updated_at"] == "2026-01-14T10:17:33Z"
    budget = (await info(management))["litellm_budget_table"]
    assert (budget["max_budget"], budget["rpm_limit"]) == (5.0, None)


async def test_a_budget_is_linked_and_unlinked(management: Management) -> None:
    await new(management, "a", max_budget=5)
    shared = (await info(management, "a"))["budget_id"]
    await new(management, "b", budget_id=shared)
    assert (await info(management, "b"))["litellm_budget_table"]["max_budget"] == 5.0
    good(await management.post("/tag/update", {"name": "b", "budget_id": None}))
    assert (await info(management, "b"))["litellm_budget_table"] is None
    assert "budget_id=none" in detail_of(await management.post("/tag/new", {"name": "c", "budget_id": "none"}), 404)
    both = await management.post("/tag/new", {"name": "c", "budget_id": shared, "max_budget": 1})
    assert both.status_code == 422


async def test_spend_is_that_of_the_current_window_and_goes_along_into_another(management: Management) -> None:
    await new(management, max_budget=5)
    key = (await management.new_key())["key"]
    await management.spend(key, 3, tags=("prod",), charges=(Charge("tag", "prod", 0),))
    assert (await info(management))["spend"] == 3.0
    good(await management.post("/tag/update", {"name": "prod", "budget_duration": "1d"}))
    assert (await info(management))["spend"] == 3.0
    management.clock.advance(86_400)
    assert (await info(management))["spend"] == 0.0


async def test_tags_that_do_not_exist_are_left_out_unless_none_does(management: Management) -> None:
    await new(management)
    assert list(good(await management.post("/tag/info", {"names": ["x", "prod", "prod"]}))) == ["prod"]
    assert detail_of(await management.post("/tag/info", {"names": ["x"]}), 404).startswith("No tags found")
    assert detail_of(await management.post("/tag/update", {"name": "x"}), 404) == "Tag x not found"
    assert detail_of(await management.post("/tag/delete", {"name": "x"}), 404) == "Tag x not found"


async def test_a_deleted_tag_is_gone(management: Management) -> None:
    await new(management)
    assert good(await management.post("/tag/delete", {"name": "prod"})) == {"message": "Tag prod deleted successfully"}
    assert good(await management.get("/tag/list")) == []


async def test_the_list_has_tags_that_were_merely_seen(management: Management) -> None:
    await new(management, "b", max_budget=1)
    key = (await management.new_key())["key"]
    await management.spend(key, 1, tags=("b", "a"))
    shown = good(await management.get("/tag/list"))
    assert [(tag["name"], tag["models"]) for tag in shown] == [("b", []), ("a", None)]
    assert shown[0]["litellm_budget_table"]["max_budget"] == 1.0
    assert good(await management.get("/tag/distinct")) == {"results": [{"tag": "a"}, {"tag": "b"}]}
    elsewhen = good(await management.get("/tag/list", start_date="2026-01-01", end_date="2026-01-13"))
    assert [tag["name"] for tag in elsewhen] == ["b"]
    that_day = good(await management.get("/tag/list", start_date="2026-01-14", end_date="2026-01-14"))
    assert [tag["name"] for tag in that_day] == ["b", "a"]


async def test_users_see_tags_and_neither_budgets_nor_what_others_did(management: Management) -> None:
    await new(management, max_budget=1)
    key = (await management.new_key(user_id="u"))["key"]
    await management.spend(key, 1, tags=("secret-project",))
    (tag,) = good(await management.get("/tag/list", by=key))
    assert tag["name"] == "prod"
    assert tag.keys().isdisjoint({"spend", "budget_id", "litellm_budget_table"})


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/tag/new", {"name": "x"}),
        ("POST", "/tag/update", {"name": "x"}),
        ("POST", "/tag/info", {"names": ["x"]}),
        ("POST", "/tag/delete", {"name": "x"}),
        ("GET", "/tag/distinct", None),
    ],
)
async def test_the_rest_is_for_administrators(
    method: str, path: str, body: dict[str, Any] | None, management: Management
) -> None:
    key = (await management.new_key(user_id="u"))["key"]
    answer = await (management.post(path, body, by=key) if method == "POST" else management.get(path, by=key))
    assert error_of(answer, 401)["type"] == "auth_error"


async def test_a_team_key_without_a_user_does_not_list_tags(management: Management) -> None:
    key = (await management.new_key(team_id="t"))["key"]
    assert error_of(await management.get("/tag/list", by=key), 401)["type"] == "auth_error"


async def test_changes_are_told_and_audited(management: Management) -> None:
    await new(management)
    good(await management.post("/tag/update", {"name": "prod", "description": "x"}))
    good(await management.post("/tag/delete", {"name": "prod"}))
    assert await management.audited("prod") == {
        (action, "LiteLLM_TagTable") for action in ("created", "updated", "deleted")
    }
    assert management.told == ["prod"] * 3


@pytest.mark.parametrize("fields", [{"max_budget": -1}, {"rpm_limit": 2**63}, {"budget_duration": "soon"}])
async def test_what_cannot_be_a_limit_is_refused(fields: dict[str, Any], management: Management) -> None:
    assert detail_of(await management.post("/tag/new", {"name": "prod", **fields}), 400)
    assert good(await management.get("/tag/list")) == []


@pytest.mark.parametrize("body", [{}, {"name": ""}, {"name": 7}, {"name": "x", "models": {}}, {"name": "x" * 1001}])
async def test_a_body_that_is_none_is_refused(body: dict[str, Any], management: Management) -> None:
    assert (await management.post("/tag/new", body)).status_code == 422


async def test_a_long_description_is_kept(management: Management) -> None:
    text = "words " * 1000
    assert (await new(management, description=text))["tag"]["description"] == text
    too_long = await management.post("/tag/new", {"name": "x", "description": "x" * 100_001})
    assert too_long.status_code == 422


async def test_fields_without_effect_are_named(management: Management) -> None:
    answer = await management.post("/tag/new", {"name": "prod", "desription": "x", "models": ["m"]})
    assert answer.headers["x-tollway-warning"] == (
        "unknown field 'desription' was ignored; did you mean 'description'?, "
        "'models' is stored, and not enforced in this release"
    )
