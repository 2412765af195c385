"""What `/team/*` answers, under the wire contract's names."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from tollway.control.kit.wire import WireModel
from tollway.control.teams.schemas import CallbackType


class MemberOut(WireModel):
    """An entry of `members_with_roles`."""

    role: str
    user_id: str
    user_email: str | None = None


class NamedMemberOut(MemberOut):
    """The same with the name that people know them by."""

    user_alias: str | None = None


class TeamOut(WireModel):
    """A team."""

    team_id: str
    team_alias: str | None = None
    organization_id: str | None = None
    admins: list[str] = []
    """Always empty; see `members_with_roles`. Likewise `members`."""
    members: list[str] = []
    members_with_roles: list[MemberOut] = []
    team_member_permissions: list[str] = []
    metadata: dict[str, Any] = {}
    tpm_limit: int | None = None
    rpm_limit: int | None = None
    tpd_limit: int | None = None
    max_parallel_requests: int | None = None
    max_budget: float | None = None
    soft_budget: float | None = None
    budget_duration: str | None = None
    budget_reset_at: datetime | None = None
    budget_limits: list[dict[str, Any]] | None = None
    spend: float = 0.0
    """In the current budget window."""
    models: list[str] = []
    model_id: str | None = None
    model_spend: dict[str, float] = {}
    model_max_budget: dict[str, Any] = {}
    litellm_model_table: dict[str, Any] | None = None
    default_team_member_models: list[str] = []
    blocked: bool = False
    router_settings: dict[str, Any] = {}
    access_group_ids: list[str] = []
    policies: list[str] = []
    allow_team_guardrail_config: bool = False
    object_permission: dict[str, Any] | None = None
    object_permission_id: str | None = None
    created_at: datetime
    updated_at: datetime


class TeamRow(TeamOut):
    """A team with its relations, which are never loaded here."""

    litellm_organization_table: None = None
    projects: None = None


class TeamUpdated(WireModel):
    """`POST /team/update`."""

    team_id: str
    data: TeamRow


class EditAccess(WireModel):
    """What the caller may change about the team they look at."""

    kind: Literal["unrestricted", "team_admin", "none"]


class SomeFields(EditAccess):
    """An admin of a team may change these fields of it."""

    editable_fields: list[str]


class TeamDetails(TeamOut):
    """`team_info` of `GET /team/info`."""

    members_with_roles: list[NamedMemberOut] = []  # type: ignore[assignment]
    team_member_budget_table: dict[str, Any] | None = None
    access_group_models: list[str] | None = None
    access_group_mcp_server_ids: list[str] | None = None
    access_group_agent_ids: list[str] | None = None
    access_group_details: list[dict[str, Any]] | None = None
    organization_models: list[str] | None = None
    model_max_budget_usage: dict[str, Any] = {}
    caller_edit_access: SomeFields | EditAccess


class MembershipOut(WireModel):
    """What a member has of a team, and has used."""

    user_id: str
    team_id: str
    budget_id: str | None = None
    spend: float = 0.0
    total_spend: float = 0.0
    litellm_budget_table: dict[str, Any] | None = None


class SourcedMembership(MembershipOut):
    """The same, with where the budget comes from."""

    budget_source: Literal["individual", "team_default", "none"] = "none"


class TeamInfo(WireModel):
    """`GET /team/info`."""

    team_id: str
    team_info: TeamDetails
    keys: list[dict[str, Any]]
    team_memberships: list[SourcedMembership]


class TeamListed(TeamOut):
    """An entry of `GET /team/list`."""

    team_memberships: list[SourcedMembership]
    keys: list[dict[str, Any]]


class TeamCounted(TeamOut):
    """An entry of `GET /v2/team/list`."""

    members_count: int
    keys_count: int
    access_group_models: list[str] | None = None
    access_group_mcp_server_ids: list[str] | None = None
    access_group_agent_ids: list[str] | None = None
    deleted_at: datetime | None = None
    deleted_by: str | None = None


class TeamPage(WireModel):
    """`GET /v2/team/list`."""

    teams: list[TeamCounted]
    total: int
    page: int
    page_size: int
    total_pages: int


class TeamsDeleted(WireModel):
    """`POST /team/delete`."""

    deleted_teams: list[str]


class UserOut(WireModel):
    """A user, as the answers about members show them."""

    user_id: str
    user_alias: str | None = None
    user_email: str | None = None
    user_role: str | None = None
    sso_user_id: str | None = None
    team_id: None = None
    organization_id: None = None
    teams: list[str] = []
    models: list[str] = []
    metadata: dict[str, Any] = {}
    max_budget: float | None = None
    spend: float = 0.0
    budget_duration: str | None = None
    budget_reset_at: datetime | None = None
    tpm_limit: int | None = None
    rpm_limit: int | None = None
    max_parallel_requests: int | None = None
    allowed_cache_controls: list[str] = []
    policies: list[str] = []
    model_spend: dict[str, float] = {}
    model_max_budget: dict[str, Any] = {}
    object_permission: None = None
    object_permission_id: None = None
    organization_memberships: None = None
    last_breach_check_at: None = None
    password_reset_required: None = None
    created_at: datetime
    updated_at: datetime


class MembersAdded(TeamOut):
    """`POST /team/member_add`."""

    updated_users: list[UserOut]
    updated_team_memberships: list[MembershipOut]


class MemberResult(WireModel):
    """What became of one member of many."""

    user_id: str | None = None
    user_email: str | None = None
    success: bool
    error: str | None = None
    updated_user: UserOut | None = None
    updated_team_membership: MembershipOut | None = None


class ManyMembersAdded(WireModel):
    """`POST /team/bulk_member_add`."""

    team_id: str
    results: list[MemberResult]
    total_requested: int
    successful_additions: int
    failed_additions: int
    updated_team: TeamOut


class MemberUpdated(WireModel):
    """`POST /team/member_update`: what was asked for."""

    team_id: str
    user_id: str
    user_email: str | None = None
    max_budget_in_team: float | None = None
    tpm_limit: int | None = None
    rpm_limit: int | None = None
    budget_duration: str | None = None
    allowed_models: list[str] | None = None
    temp_budget_increase: float | None = None
    temp_budget_expiry: datetime | None = None


class OwnMembership(MembershipOut):
    """`GET /team/{team_id}/members/me`."""

    team_alias: str | None = None
    role: str
    user_email: str | None = None


class MemberSpendWasReset(WireModel):
    """`POST /team/{team_id}/member/{user_id}/reset_spend`."""

    team_id: str
    user_id: str
    spend: float
    previous_spend: float
    max_budget: float | None


class MemberBudgetWasReset(WireModel):
    """`POST /team/{team_id}/member/{user_id}/reset_budget`."""

    team_id: str
    user_id: str
    budget_id: str | None
    previous_budget_id: str | None
    budget_source: Literal["individual", "team_default", "none"]


class PermissionsOut(WireModel):
    """`GET /team/permissions_list`."""

    team_id: str
    team_member_permissions: list[str]
    all_available_permissions: list[str]


class PermissionsAppended(WireModel):
    """`POST /team/permissions_bulk_update`."""

    message: str
    teams_updated: int
    permissions_appended: list[str]


class MetadataSchema(WireModel):
    """`GET /team/metadata_schema`."""

    fields: list[dict[str, str]]


class CallbackOut(WireModel):
    """A callback of a team."""

    callback_name: str
    callback_type: CallbackType
    callback_vars: dict[str, str] = {}
    """Masked."""


class CallbacksOut(WireModel):
    """`data` of the answers about a team's callbacks."""

    team_id: str
    success_callbacks: list[str]
    failure_callbacks: list[str]
    callback_vars: dict[str, str]
    """Of all callbacks together, masked."""
    callbacks: list[CallbackOut]
    logging_disabled: bool


class TeamWithCallbacks(TeamRow, CallbacksOut):
    """A team and its callbacks."""


class CallbackAdded(WireModel):
    """`POST /team/{team_id}/callback`."""

    status: Literal["success"] = "success"
    data: TeamWithCallbacks


class CallbacksShown(WireModel):
    """`GET /team/{team_id}/callback`, `DELETE /team/{team_id}/callback/{callback_name}`."""

    status: Literal["success"] = "success"
    data: CallbacksOut


class LoggingDisabled(CallbacksShown):
    """`POST /team/{team_id}/disable_logging`."""

    message: str


class TeamFound(WireModel):
    """An entry of `GET /team/filter/ui`."""

    team_id: str
    team_alias: str | None


class KeyChanged(WireModel):
    """A key that `POST /team/key/bulk_update` changed."""

    key: str
    key_info: dict[str, Any]


class KeyUnchanged(WireModel):
    """One that it could not change."""

    key: str
    key_info: dict[str, Any] | None = None
    failed_reason: str


class TeamKeysUpdated(WireModel):
    """`POST /team/key/bulk_update`."""

    total_requested: int
    successful_updates: list[KeyChanged]
    failed_updates: list[KeyUnchanged]
