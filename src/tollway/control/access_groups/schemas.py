"""Bodies of `/v1/access_group`, under the wire contract's names."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field

from tollway.control.kit.body import Body
from tollway.control.kit.wire import WireModel

GroupName = Annotated[str, Field(min_length=1)]


class GroupFields(Body):
    """What can be said about an access group, when it is made and later: absent leaves a field alone."""

    kept_for_later = ("access_mcp_server_ids", "access_agent_ids")

    description: str | None = None
    access_model_names: list[str] | None = None
    """Models that its teams and keys may use besides their own."""
    access_mcp_server_ids: list[str] | None = None
    access_agent_ids: list[str] | None = None
    assigned_team_ids: list[str] | None = None
    assigned_key_ids: list[str] | None = None
    """Keys, in the clear or by their hashes."""


class GroupCreate(GroupFields):
    """`POST /v1/access_group`."""

    access_group_name: GroupName


class GroupUpdate(GroupFields):
    """`PUT /v1/access_group/{id}`."""

    access_group_name: GroupName | None = None


class Named(WireModel):
    """Something by its id, with its name if it has one."""

    id: str
    name: str | None


class GroupOut(WireModel):
    """An access group."""

    access_group_id: str
    access_group_name: str
    description: str | None
    access_model_names: list[str]
    access_mcp_server_ids: list[str]
    access_agent_ids: list[str]
    assigned_team_ids: list[str]
    assigned_key_ids: list[str]
    """Hashes."""
    access_mcp_servers: list[Named]
    access_agents: list[Named]
    assigned_teams: list[Named]
    assigned_keys: list[Named]
    created_at: datetime
    created_by: str | None
    updated_at: datetime
    updated_by: str | None
