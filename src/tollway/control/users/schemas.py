"""Bodies of `/user/*`, under the wire contract's names."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import ConfigDict, Field, model_validator

from tollway.control.kit.body import Body, Dollars, Name, OptionalIdentifier, example
from tollway.control.kit.wire import WireModel

UserRole = Literal["proxy_admin", "proxy_admin_viewer", "internal_user", "internal_user_viewer"]

_MAX_AT_ONCE = 500


class TeamJoined(WireModel):
    """A team to join, and on which terms."""

    model_config = ConfigDict(extra="ignore")

    team_id: str
    max_budget_in_team: float | None = None
    user_role: Literal["admin", "user"] = "user"


class UserFields(Body):
    """What can be said about a user, when they are made and later."""

    kept_for_later = ("guardrails", "policies", "prompts", "allowed_cache_controls", "object_permission")

    user_id: OptionalIdentifier = None
    user_email: OptionalIdentifier = None
    """Unique, however it is spelled."""
    user_alias: Name = None
    user_role: UserRole | None = None
    sso_user_id: OptionalIdentifier = None
    teams: list[str | TeamJoined] | None = None
    """Teams to join."""
    organizations: list[str] | None = None
    """Organizations to join."""
    models: list[str] | None = None
    """What their personal keys may call; `no-default-models`: nothing."""
    spend: Dollars = None
    max_budget: Dollars = None
    soft_budget: Dollars = None
    budget_duration: Name = None
    tpm_limit: int | None = None
    rpm_limit: int | None = None
    max_parallel_requests: int | None = None
    model_rpm_limit: dict[str, int] | None = None
    model_tpm_limit: dict[str, int] | None = None
    model_max_budget: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None
    guardrails: list[str] | None = None
    policies: list[str] | None = None
    prompts: list[str] | None = None
    allowed_cache_controls: list[str] | None = None
    object_permission: dict[str, Any] | None = None


class NewUser(UserFields):
    """A user to make, and a key of theirs."""

    model_config = example(
        user_id="ada",
        user_email="ada@example.com",
        user_role="internal_user",
        max_budget=50,
        budget_duration="30d",
    )

    auto_create_key: bool = True
    key_alias: Name = None
    duration: str | None = None
    """Lifetime of the key."""
    aliases: dict[str, str] | None = None
    config: dict[str, Any] | None = None
    permissions: dict[str, Any] | None = None
    blocked: bool | None = None
    """Whether the key begins blocked."""

    @model_validator(mode="before")
    @classmethod
    def _refuse_password(cls, sent: Any) -> Any:
        if isinstance(sent, dict) and "password" in sent:
            raise ValueError("a password cannot be chosen for somebody else here; invite them with /invitation/new")
        return sent


class UserCreate(NewUser):
    """`POST /user/new`."""

    send_invite_email: bool | None = None


class UserUpdate(UserFields):
    """`POST /user/update`: absent leaves a field alone, null clears it. `teams` and `organizations` are joined too."""

    password: str | None = Field(None, min_length=8, max_length=1000)


class UsersUpdate(Body):
    """`POST /user/bulk_update`."""

    users: list[UserUpdate] | None = Field(None, max_length=_MAX_AT_ONCE)
    all_users: bool = False
    user_updates: UserUpdate | None = None


class UserNames(Body):
    """`POST /user/delete`."""

    user_ids: list[str] = Field(max_length=_MAX_AT_ONCE)


class PasswordChange(Body):
    """`POST /user/password/change`."""

    current_password: str = Field(max_length=1000)
    new_password: str = Field(min_length=8, max_length=1000)


class _UserOut(WireModel):
    """What every answer about a user says."""

    user_id: str
    user_alias: str | None = None
    user_email: str | None = None
    user_role: str | None = None
    team_id: None = None
    sso_user_id: str | None = None
    organization_id: None = None
    teams: list[str] = []
    models: list[str] = []
    spend: float = 0.0
    max_budget: float | None = None
    budget_duration: str | None = None
    budget_reset_at: datetime | None = None
    tpm_limit: int | None = None
    rpm_limit: int | None = None
    max_parallel_requests: int | None = None
    metadata: dict[str, Any] = {}
    allowed_cache_controls: list[str] = []
    policies: list[str] = []
    model_spend: dict[str, float] = {}
    model_max_budget: dict[str, Any] = {}
    object_permission: dict[str, Any] | None = None
    object_permission_id: None = None
    organization_memberships: list[dict[str, Any]] | None = None
    password_reset_required: None = None
    last_breach_check_at: None = None
    created_at: datetime | None
    updated_at: datetime | None


class UserRow(_UserOut):
    """A user with their relations, as `/user/update` shows them."""

    invitations_created: None = None
    invitations_updated: None = None
    invitations_user: None = None
    litellm_organization_table: None = None
    verified_subjects: None = None


class UserDetails(UserRow):
    """`user_info` of `GET /user/info`."""

    model_max_budget_usage: dict[str, Any] = {}


class UserListed(_UserOut):
    """An entry of `GET /user/list`."""

    key_count: int


class UserList(WireModel):
    """`GET /user/list`."""

    users: list[UserListed]
    total: int
    page: int
    page_size: int
    total_pages: int


class UserCreated(WireModel):
    """`POST /user/new`: the user, and the fields of their key, which is shown only here."""

    model_config = ConfigDict(extra="allow")

    key: str
    token: None = None
    token_id: None = None
    user_id: str
    user_email: str | None
    user_alias: str | None
    user_role: str | None
    teams: list[str] | None
    models: list[str]
    spend: float
    max_budget: float | None
    budget_duration: str | None
    tpm_limit: int | None
    rpm_limit: int | None
    max_parallel_requests: int | None
    model_max_budget: dict[str, Any]
    metadata: dict[str, Any]
    created_at: datetime
    updated_at: datetime


class UserUpdated(WireModel):
    """`POST /user/update`."""

    user_id: str
    data: UserRow


class UserInfo(WireModel):
    """`GET /user/info`."""

    user_id: str
    user_info: UserDetails
    keys: list[dict[str, Any]]
    teams: list[dict[str, Any]]


class UserProfile(WireModel):
    """`GET /v2/user/info`: the user alone."""

    user_id: str
    user_email: str | None
    user_alias: str | None
    user_role: str | None
    spend: float
    max_budget: float | None
    tpm_limit: int | None
    rpm_limit: int | None
    models: list[str]
    budget_duration: str | None
    budget_reset_at: datetime | None
    metadata: dict[str, Any]
    created_at: datetime | None
    updated_at: datetime | None
    sso_user_id: str | None
    teams: list[str]
    object_permission: dict[str, Any] | None
    model_max_budget: dict[str, Any]
    model_max_budget_usage: dict[str, Any] = {}


class UserOutcome(WireModel):
    """What became of one of many."""

    user_id: str | None
    user_email: str | None
    success: bool
    error: str | None
    updated_user: UserRow | None


class UsersUpdated(WireModel):
    """`POST /user/bulk_update`."""

    results: list[UserOutcome]
    total_requested: int
    successful_updates: int
    failed_updates: int


class UserFound(WireModel):
    """An entry of `GET /user/filter/ui`."""

    user_id: str
    user_email: str | None


class RoleOut(WireModel):
    """A role in words."""

    description: str
    ui_label: str


class PasswordChanged(WireModel):
    """`POST /user/password/change`."""

    user_id: str
    message: str
