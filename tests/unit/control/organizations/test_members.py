from __future__ import annotations

from typing import Any

import pytest
from tests.support.management import Management, error_of, good
from tests.support.rows import store

from tollway.core.principal import Scope
from tollway.stores.sql.rows import OrganizationMember, User

ADD, UPDATE, DELETE = "/organization/member_add", "/organization/member_update", "/organization/member_delete"


@pytest.fixture
async def organization(management: Management) -> Management:
    for name in ("o1", "o2"):
        good(await management.post("/organization/new", {"organization_id": name, "organization_alias": name}))
    engine = management.services.engine
    for user_id, role in (("ada", "internal_user"), ("bob", "internal_user"), ("root", "proxy_admin")):
        await store(
            engine, User, user_id=user_id, user_role=role, user_email=f"{user_id}@x.io", email_key=f"{user_id}@x.io"
        )
    await store(engine, OrganizationMember, organization_id="o1", user_id="ada", role="org_admin")
    return management


async def key_of(management: Management, user_id: str, **fields: Any) -> str:
    key: str = (await management.new_key(user_id=user_id, **fields))["key"]
    return key


async def add(management: Management, member: Any, **fields: Any) -> dict[str, Any]:
    body = {"organization_id": "o1", "member": member, **fields}
    added: dict[str, Any] = good(await management.post(ADD, body))
    return added


async def members(management: Management) -> dict[str, dict[str, Any]]:
    found = good(await management.get("/organization/info", organization_id="o1"))["members"]
    return {one["user_id"]: one for one in found}


async def test_a_member_joins_with_a_role_and_a_budget(organization: Management) -> None:
    added = await add(organization, {"role": "internal_user", "user_id": "bob"}, max_budget_in_organization=5)
    assert added.keys() == {"organization_id", "updated_users", "updated_organization_memberships"}
    assert [user["user_id"] for user in added["updated_users"]] == ["bob"]
    (membership,) = added["updated_organization_memberships"]
    assert (membership["user_role"], membership["spend"]) == ("internal_user", 0.0)
    assert membership["litellm_budget_table"]["max_budget"] == 5
    assert (await members(organization))["bob"] == membership


async def test_several_members_join_at_once_or_not_at_all(organization: Management) -> None:
    bob, new = {"role": "internal_user", "user_id": "bob"}, {"role": "internal_user_viewer", "user_email": "New@x.io"}
    added = await add(organization, [bob, new])
    assert [one["user_email"] for one in added["updated_users"]] == ["bob@x.io", "New@x.io"]
    again = await organization.post(ADD, {"organization_id": "o1", "member": [{**bob, "user_id": "carl"}, bob]})
    assert "already in organization o1" in error_of(again, 400)["message"]
    assert "carl" not in await members(organization)


async def test_an_address_is_one_person_in_any_spelling(organization: Management) -> None:
    added = await add(organization, {"role": "internal_user", "user_email": "BOB@X.IO"})
    assert added["updated_users"][0]["user_id"] == "bob"


async def test_new_people_see_what_is_theirs_and_no_more(organization: Management) -> None:
    added = await add(organization, {"role": "internal_user", "user_email": "new@x.io"})
    assert added["updated_users"][0]["user_role"] == "internal_user_viewer"


@pytest.mark.parametrize(
    "member", [{"role": "internal_user"}, {"role": "proxy_admin", "user_id": "bob"}, {"user_id": "bob"}, [{}], "bob"]
)
async def test_a_member_needs_a_name_and_a_role_of_organizations(organization: Management, member: Any) -> None:
    answer = await organization.post(ADD, {"organization_id": "o1", "member": member})
    assert answer.status_code == 422
    assert (await members(organization)).keys() == {"ada"}


async def test_role_and_budget_change_and_null_clears(organization: Management) -> None:
    await add(organization, {"role": "internal_user", "user_id": "bob"}, max_budget_in_organization=5)
    named = {"organization_id": "o1", "user_email": "bob@x.io"}
    changed = good(await organization.send("PATCH", UPDATE, {**named, "role": "org_admin"}))
    assert (changed["user_role"], changed["litellm_budget_table"]["max_budget"]) == ("org_admin", 5)
    changed = good(await organization.send("PATCH", UPDATE, {**named, "max_budget_in_organization": None}))
    assert (changed["user_role"], changed["litellm_budget_table"]["max_budget"]) == ("org_admin", None)
    assert (await members(organization))["bob"] == changed


async def test_a_member_leaves(organization: Management) -> None:
    await add(organization, {"role": "internal_user", "user_id": "bob"})
    gone = good(await organization.send("DELETE", DELETE, {"organization_id": "o1", "user_id": "bob"}))
    assert (gone["user_id"], gone["user_role"]) == ("bob", "internal_user")
    assert (await members(organization)).keys() == {"ada"}


@pytest.mark.parametrize(("method", "path"), [("PATCH", UPDATE), ("DELETE", DELETE)])
async def test_who_or_what_is_unknown_is_not_found(organization: Management, method: str, path: str) -> None:
    for named, word in (
        ({"organization_id": "o1", "user_id": "bob"}, "bob"),
        ({"organization_id": "o1", "user_email": "nobody@x.io"}, "nobody@x.io"),
        ({"organization_id": "nope", "user_id": "ada"}, "nope"),
    ):
        assert word in error_of(await organization.send(method, path, named), 404)["message"]
    answer = await organization.send(method, path, {"organization_id": "o1"})
    assert "user_id or user_email" in answer.json()["detail"][0]["msg"]


@pytest.mark.parametrize("budget", [-1, "much"])
async def test_a_members_budget_must_be_one(organization: Management, budget: Any) -> None:
    body = {"organization_id": "o1", "member": {"role": "internal_user", "user_id": "bob"}}
    answer = await organization.post(ADD, {**body, "max_budget_in_organization": budget})
    assert answer.status_code in (400, 422)
    assert (await members(organization)).keys() == {"ada"}


async def test_its_admin_manages_who_is_in_it_and_in_no_other(organization: Management) -> None:
    key = await key_of(organization, "ada")
    bob = {"role": "internal_user", "user_id": "bob"}
    named = {"organization_id": "o1", "user_id": "bob"}
    good(await organization.post(ADD, {"organization_id": "o1", "member": bob}, by=key))
    promoted = {**named, "role": "org_admin", "max_budget_in_organization": 1}
    good(await organization.send("PATCH", UPDATE, promoted, by=key))
    good(await organization.send("DELETE", DELETE, named, by=key))
    error_of(await organization.post(ADD, {"organization_id": "o2", "member": bob}, by=key), 403)
    error_of(await organization.send("PATCH", UPDATE, {**promoted, "organization_id": "o2"}, by=key), 403)
    error_of(await organization.send("DELETE", DELETE, {**named, "organization_id": "o2"}, by=key), 403)


async def test_its_admin_does_not_change_what_they_are_themselves(organization: Management) -> None:
    key = await key_of(organization, "ada")
    for change in ({"max_budget_in_organization": 1e6}, {"role": "internal_user"}):
        body = {"organization_id": "o1", "user_id": "ada", **change}
        assert "your own membership" in error_of(await organization.send("PATCH", UPDATE, body, by=key), 403)["message"]


async def test_its_admin_gets_no_hold_of_a_proxy_admin(organization: Management) -> None:
    key = await key_of(organization, "ada")
    body = {"organization_id": "o1", "member": {"role": "internal_user", "user_id": "root"}}
    assert "proxy_admin" in error_of(await organization.post(ADD, body, by=key), 403)["message"]
    body = {"organization_id": "o1", "member": {"role": "internal_user", "user_id": "made-up"}}
    error_of(await organization.post(ADD, body, by=key), 404)


async def test_a_plain_member_manages_nobody(organization: Management) -> None:
    await add(organization, {"role": "internal_user", "user_id": "bob"})
    key = await key_of(organization, "bob")
    body = {"organization_id": "o1", "member": {"role": "org_admin", "user_email": "friend@x.io"}}
    error_of(await organization.post(ADD, body, by=key), 401)


async def test_a_members_budget_holds_for_their_keys_in_the_organization(organization: Management) -> None:
    key = await key_of(organization, "bob", organization_id="o1")
    assert {scope.kind for scope in (await organization.authenticator.authenticate(key)).scopes} == {
        *("api_key", "user", "organization"),
    }
    await add(organization, {"role": "internal_user", "user_id": "bob"}, max_budget_in_organization=5)
    scopes = {scope.kind: scope for scope in (await organization.authenticator.authenticate(key)).scopes}
    assert scopes["organization_member"] == Scope(
        kind="organization_member", id="o1:bob", label="organization_member", budget_nanos=5_000_000_000
    )
    await organization.spend_in(scopes["organization_member"], dollars=2)
    assert (await members(organization))["bob"]["spend"] == 2
