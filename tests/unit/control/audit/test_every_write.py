"""Every route of the role matrix that changes something leaves an entry in the audit log."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from tests.support.management import MASTER_KEY, Management, bearer, good, open_management

from tollway.control.api import role_matrix
from tollway.db.audit import audit_log
from tollway.db.engine import reading

QUESTIONS = {
    *("/v2/key/info", "/key/health", "/budget/info", "/organization/info", "/tag/info"),
    *("/spend/calculate", "/cost/estimate", "/global/spend/end_users", "/global/spend/refresh"),
    *("/cache/clear", "/cache/delete", "/cache/flushall", "/health/test_connection"),
}
"""Paths that are posted to, and change nothing that anybody has set."""

KEY = "sk-0123456789abcdefghij"
MODEL = {"model_name": "m", "litellm_params": {"model": "openai/gpt-4o", "api_key": "sk-1"}, "model_info": {"id": "i"}}
CREDENTIAL = {"credential_name": "c", "credential_values": {"api_key": "sk-1"}, "credential_info": {}}

SETUPS: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "nothing": [],
    "key": [("/key/generate", {"key": KEY, "max_budget": 1})],
    "budget": [("/budget/new", {"budget_id": "b"})],
    "organization": [("/organization/new", {"organization_id": "o", "organization_alias": "o"})],
    "organization member": [
        ("/organization/new", {"organization_id": "o", "organization_alias": "o"}),
        ("/organization/member_add", {"organization_id": "o", "member": {"role": "internal_user", "user_id": "u"}}),
    ],
    "team": [("/team/new", {"team_id": "t", "models": ["gpt-4o"]})],
    "team with a callback": [
        ("/team/new", {"team_id": "t"}),
        ("/team/t/callback", {"callback_name": "langfuse", "callback_vars": {"langfuse_secret": "sk-1"}}),
    ],
    "team member": [
        ("/team/new", {"team_id": "t"}),
        (
            "/team/member_add",
            {"team_id": "t", "member": {"role": "user", "user_id": "u"}, "max_budget_in_team": 1},
        ),
    ],
    "team key": [
        ("/team/new", {"team_id": "t"}),
        ("/key/generate", {"key": "sk-0123456789abcdefghij", "team_id": "t"}),
    ],
    "project": [("/team/new", {"team_id": "t"}), ("/project/new", {"team_id": "t", "project_id": "p"})],
    "customer": [("/customer/new", {"user_id": "c"})],
    "tag": [("/tag/new", {"name": "g"})],
    "model": [("/model/new", MODEL)],
    "credential": [("/credentials", CREDENTIAL)],
    "models of a group": [
        ("/model/new", MODEL),
        ("/model/new", {**MODEL, "model_name": "n", "model_info": {"id": "j"}}),
        ("/access_group/new", {"access_group": "a", "model_names": ["m"]}),
    ],
    "setting": [("/config/field/update", {"field_name": "completion_model", "field_value": "m"})],
    "allowed address": [("/add/allowed_ip", {"ip": "127.0.0.1"})],
    "stopped session": [
        ("/key/generate", {"key": KEY}),
        ("/session/stop", {"session_id": "s", "key": KEY}),
    ],
    "access group": [("/v1/access_group", {"access_group_name": "a"})],
    "user": [("/user/new", {"user_id": "u"})],
    "person": [
        ("/user/new", {"user_id": "u", "auto_create_key": False}),
        ("/key/generate", {"user_id": "u", "key": KEY}),
        ("/user/update", {"user_id": "u", "password": "at first"}),
    ],
    "invitation": [("/user/new", {"user_id": "u"}), ("/invitation/new", {"user_id": "u"})],
}
"""What there is before, by the requests that make it."""

_MEMBER = {"organization_id": "o", "user_id": "u"}
_NEW_MEMBER = {"role": "user", "user_id": "v"}

WRITES: dict[tuple[str, str], tuple[str, dict[str, Any]]] = {
    ("POST", "/key/generate"): ("nothing", {}),
    ("POST", "/key/service-account/generate"): ("team", {"team_id": "t"}),
    ("POST", "/key/update"): ("key", {"key": KEY, "max_budget": 2}),
    ("POST", "/session/stop"): ("key", {"session_id": "s", "key": KEY, "reason": "r"}),
    ("POST", "/session/resume"): ("stopped session", {"session_id": "s", "key": KEY}),
    ("POST", "/key/bulk_update"): ("key", {"keys": [{"key": KEY, "max_budget": 2}]}),
    ("POST", "/key/delete"): ("key", {"keys": [KEY]}),
    ("POST", "/key/block"): ("key", {"key": KEY}),
    ("POST", "/key/unblock"): ("key", {"key": KEY}),
    ("POST", "/key/regenerate"): ("key", {"key": KEY}),
    ("POST", "/key/{key}/regenerate"): ("key", {}),
    ("POST", "/key/{key}/reset_spend"): ("key", {"reset_to": 0}),
    ("POST", "/budget/new"): ("nothing", {}),
    ("POST", "/budget/update"): ("budget", {"budget_id": "b", "max_budget": 1}),
    ("POST", "/budget/delete"): ("budget", {"id": "b"}),
    ("POST", "/organization/new"): ("nothing", {"organization_alias": "o"}),
    ("PATCH", "/organization/update"): ("organization", {"organization_id": "o"}),
    ("PATCH", "/v2/organization/{organization_id}"): ("organization", {}),
    ("DELETE", "/organization/delete"): ("organization", {"organization_ids": ["o"]}),
    ("POST", "/organization/member_add"): (
        "organization",
        {"organization_id": "o", "member": {"role": "org_admin", "user_email": "u@x.io"}},
    ),
    ("PATCH", "/organization/member_update"): ("organization member", {**_MEMBER, "role": "org_admin"}),
    ("DELETE", "/organization/member_delete"): ("organization member", _MEMBER),
    ("POST", "/project/new"): ("team", {"team_id": "t"}),
    ("POST", "/project/update"): ("project", {"project_id": "p", "blocked": True}),
    ("DELETE", "/project/delete"): ("project", {"project_ids": ["p"]}),
    ("POST", "/team/new"): ("nothing", {}),
    ("POST", "/team/update"): ("team", {"team_id": "t", "max_budget": 1}),
    ("PATCH", "/team/{team_id}"): ("team", {"max_budget": 1}),
    ("POST", "/team/block"): ("team", {"team_id": "t"}),
    ("POST", "/team/unblock"): ("team", {"team_id": "t"}),
    ("POST", "/team/delete"): ("team", {"team_ids": ["t"]}),
    ("POST", "/team/member_add"): ("team", {"team_id": "t", "member": _NEW_MEMBER}),
    ("POST", "/team/bulk_member_add"): ("team", {"team_id": "t", "members": [_NEW_MEMBER]}),
    ("POST", "/team/member_update"): ("team member", {"team_id": "t", "user_id": "u", "max_budget_in_team": 2}),
    ("POST", "/team/member_delete"): ("team member", {"team_id": "t", "user_id": "u"}),
    ("POST", "/team/{team_id}/member/{user_id}/reset_spend"): ("team member", {"reset_to": 0}),
    ("POST", "/team/{team_id}/member/{user_id}/reset_budget"): ("team member", {}),
    ("POST", "/team/model/add"): ("team", {"team_id": "t", "models": ["m"]}),
    ("POST", "/team/model/delete"): ("team", {"team_id": "t", "models": ["gpt-4o"]}),
    ("POST", "/team/permissions_update"): ("team", {"team_id": "t", "team_member_permissions": ["/key/generate"]}),
    ("POST", "/team/permissions_bulk_update"): ("team", {"team_ids": ["t"], "permissions": ["/key/generate"]}),
    ("POST", "/team/{team_id}/callback"): ("team", {"callback_name": "langfuse", "callback_vars": {}}),
    ("DELETE", "/team/{team_id}/callback/{callback_name}"): ("team with a callback", {}),
    ("POST", "/team/{team_id}/disable_logging"): ("team with a callback", {}),
    ("POST", "/team/key/bulk_update"): (
        "team key",
        {"team_id": "t", "all_keys_in_team": True, "update_fields": {"max_budget": 1}},
    ),
    ("POST", "/tag/new"): ("nothing", {"name": "g"}),
    ("POST", "/tag/update"): ("tag", {"name": "g", "max_budget": 1}),
    ("POST", "/tag/delete"): ("tag", {"name": "g"}),
    ("POST", "/model/new"): ("nothing", MODEL),
    ("POST", "/model/update"): ("model", {"model_info": {"id": "i"}, "model_name": "n"}),
    ("PATCH", "/model/{model_id}/update"): ("model", {"model_name": "n"}),
    ("POST", "/model/block"): ("model", {"model_id": "i"}),
    ("POST", "/model/unblock"): ("model", {"model_id": "i"}),
    ("POST", "/model/delete"): ("model", {"id": "i"}),
    ("POST", "/credentials"): ("nothing", CREDENTIAL),
    ("PATCH", "/credentials/{credential_name}"): ("credential", {"credential_info": {"a": "b"}}),
    ("DELETE", "/credentials/{credential_name}"): ("credential", {}),
    ("POST", "/access_group/new"): ("model", {"access_group": "a", "model_names": ["m"]}),
    ("PUT", "/access_group/{access_group}/update"): ("models of a group", {"model_names": ["n"]}),
    ("DELETE", "/access_group/{access_group}/delete"): ("models of a group", {}),
    ("PUT", "/access_group/{access_group}/budget"): ("models of a group", {"max_budget": 1}),
    ("DELETE", "/access_group/{access_group}/budget"): ("budget of a group", {}),
    ("POST", "/v1/access_group"): ("nothing", {"access_group_name": "a"}),
    ("PUT", "/v1/access_group/{access_group_id}"): ("access group", {"description": "d"}),
    ("DELETE", "/v1/access_group/{access_group_id}"): ("access group", {}),
    ("POST", "/config/update"): ("nothing", {"litellm_settings": {"request_timeout": 60}}),
    ("POST", "/config/field/update"): ("nothing", {"field_name": "completion_model", "field_value": "m"}),
    ("POST", "/config/field/delete"): ("setting", {"field_name": "completion_model"}),
    ("POST", "/fallback"): ("models of a group", {"model": "m", "fallback_models": ["n"]}),
    ("DELETE", "/fallback/{model:path}"): ("fallback", {}),
    ("POST", "/add/allowed_ip"): ("nothing", {"ip": "127.0.0.0/8"}),
    ("POST", "/delete/allowed_ip"): ("allowed address", {"ip": "127.0.0.1"}),
    ("POST", "/global/spend/reset"): ("key that spent", {}),
    ("POST", "/user/new"): ("nothing", {}),
    ("POST", "/user/update"): ("user", {"user_id": "u", "max_budget": 1}),
    ("POST", "/user/bulk_update"): ("user", {"users": [{"user_id": "u", "max_budget": 1}]}),
    ("POST", "/management/v1/users/bulk"): ("nothing", {"users": [{"user_id": "u"}]}),
    ("POST", "/management/v1/users/bulk_delete"): ("user", {"user_ids": ["u"]}),
    ("POST", "/user/delete"): ("user", {"user_ids": ["u"]}),
    ("POST", "/user/password/change"): ("person", {"current_password": "at first", "new_password": "at second"}),
    ("POST", "/invitation/new"): ("user", {"user_id": "u"}),
    ("POST", "/invitation/update"): ("invitation", {"invitation_id": "{invitation_id}", "is_accepted": True}),
    ("POST", "/invitation/delete"): ("invitation", {"invitation_id": "{invitation_id}"}),
    **{
        ("POST", f"/{prefix}/{action}"): (needs, body)
        for prefix in ("customer", "end_user")
        for action, needs, body in (
            ("new", "nothing", {"user_id": "c"}),
            ("update", "customer", {"user_id": "c", "max_budget": 1}),
            ("block", "customer", {"user_ids": ["c"]}),
            ("unblock", "customer", {"user_ids": ["c"]}),
            ("delete", "customer", {"user_ids": ["c"]}),
        )
    },
}
"""For each route that changes something: what there is before, and the body of a request that succeeds. Text of the
form `{name}` stands for an id that came back when that was made."""


async def set_up(management: Management, needs: str) -> dict[str, str]:
    """Makes what a request needs; the ids to put into its path and its body."""
    if needs == "key that spent":
        await set_up(management, "key")
        await management.spend(KEY, 1)
        return {}
    if needs == "fallback":
        await set_up(management, "models of a group")
        good(await management.post("/fallback", {"model": "m", "fallback_models": ["n"]}))
        return PATHS
    if needs == "budget of a group":
        await set_up(management, "models of a group")
        good(await management.send("PUT", "/access_group/a/budget", {"max_budget": 1}))
        return PATHS
    ids: dict[str, str] = {}
    for path, body in SETUPS[needs]:
        made = await management.post(path, body)
        assert made.is_success, made.text
        if path in MADE:
            name, field = MADE[path]
            ids[name] = made.json()[field]
    return PATHS | ids


MADE = {"/v1/access_group": ("access_group_id", "access_group_id"), "/invitation/new": ("invitation_id", "id")}
"""Requests that choose an id: what it is called here, and the field it comes back in."""

PATHS = {
    "key": KEY,
    "organization_id": "o",
    "team_id": "t",
    "user_id": "u",
    "model_id": "i",
    "credential_name": "c",
    "access_group": "a",
    "callback_name": "langfuse",
    "model": "m",
}


def test_every_route_that_changes_something_is_tried() -> None:
    writes = {(method, path) for method, path in role_matrix() if method != "GET" and path not in QUESTIONS}
    assert writes == set(WRITES)


@pytest.mark.parametrize(("method", "path"), WRITES)
async def test_a_write_leaves_an_entry(method: str, path: str, tmp_path: Path) -> None:
    needs, body = WRITES[method, path]
    async with open_management(tmp_path, config={}) as management:
        ids = await set_up(management, needs)
        sent = {name: value.format(**ids) if isinstance(value, str) else value for name, value in body.items()}
        management.clock.advance(1)
        by = bearer(KEY if needs == "person" else MASTER_KEY)
        headers = by | {"litellm-changed-by": "ada", "user-agent": "a-test"}
        answer = await management.client.request(
            method, path.replace(":path", "").format(**ids), json=sent, headers=headers
        )
        assert answer.is_success, answer.text
        async with reading(management.services.engine) as connection:
            query = select(audit_log).where(audit_log.c.changed_by == "ada")
            rows = (await connection.execute(query)).all()
    assert rows, f"{method} {path} leaves nothing in the audit log"
    for row in rows:
        assert row.action in {"created", "updated", "deleted", "blocked", "unblocked", "rotated"}
        assert (row.client_ip, row.user_agent) == ("127.0.0.1", "a-test")
        assert row.changed_by_key
        assert row.before or row.after
        assert row.action != "created" or row.before is None
        assert row.action != "deleted" or row.after is None
        assert row.resource.startswith("LiteLLM_")
