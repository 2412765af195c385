"""From a stored access group to the wire's fields."""

from __future__ import annotations

from collections.abc import Iterable

from tollway.control.access_groups.schemas import GroupOut, Named
from tollway.control.access_groups.service import Given


def render_group(given: Given) -> GroupOut:
    """An access group with the teams and keys it was given to."""
    group, members = given
    return GroupOut(
        access_group_id=group.access_group_id,
        access_group_name=group.name,
        description=group.description,
        access_model_names=group.models,
        access_mcp_server_ids=group.mcp_server_ids,
        access_agent_ids=group.agent_ids,
        assigned_team_ids=[team.team_id for team in members.teams],
        assigned_key_ids=[key.key_hash for key in members.keys],
        access_mcp_servers=_nameless(group.mcp_server_ids),
        access_agents=_nameless(group.agent_ids),
        assigned_teams=[Named(id=team.team_id, name=team.alias) for team in members.teams],
        assigned_keys=[Named(id=key.key_hash, name=key.alias) for key in members.keys],
        created_at=group.created_at,
        created_by=group.created_by,
        updated_at=group.updated_at,
        updated_by=group.updated_by,
    )


def _nameless(ids: Iterable[str]) -> list[Named]:
    return [Named(id=one, name=None) for one in ids]
