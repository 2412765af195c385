"""What `/team/*` is asked, under the wire contract's names. What it answers is in `answers`."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from tollway.control.kit.body import Body, Dollars, Identifier, Moment, Name, OptionalIdentifier, example

LimitType = Literal["best_effort_throughput", "guaranteed_throughput", "dynamic"]
TeamRole = Literal["admin", "user"]
CallbackType = Literal["success", "failure", "success_and_failure"]
MAX_AT_ONCE = 500
"""Members or keys in one request."""


class Member(Body):
    """Somebody to be in a team, by id or by e-mail address."""

    role: TeamRole
    user_id: OptionalIdentifier = None
    user_email: OptionalIdentifier = None


class TeamSettings(Body):
    """What can be said about a team, when it is made and later."""

    kept_for_later = (
        *("tpd_limit", "rpm_limit_type", "tpm_limit_type", "team_member_key_duration"),
        *("guardrails", "policies", "prompts", "allowed_passthrough_routes", "denied_passthrough_routes"),
        *("disable_global_guardrails", "allowed_vector_store_indexes", "enforced_file_expires_after"),
        *("enforced_batch_output_expires_after", "object_permission", "router_settings", "secret_manager_settings"),
    )

    team_alias: OptionalIdentifier = None
    organization_id: OptionalIdentifier = None
    models: list[str] | None = None
    """Empty: all."""
    blocked: bool | None = None
    team_member_permissions: list[str] | None = None
    """Which key routes plain members may use on the team's keys."""
    max_budget: Dollars = None
    soft_budget: Dollars = None
    budget_duration: Name = None
    budget_limits: list[dict[str, Any]] | None = None
    """Further budgets over other periods: `[{"budget_duration": "1d", "max_budget": 10}]`."""
    tpm_limit: int | None = None
    rpm_limit: int | None = None
    tpd_limit: int | None = None
    max_parallel_requests: int | None = None
    max_iterations: int | None = None
    """Calls in one session (`litellm_session_id`) of any key of the team; likewise what a session may cost."""
    max_budget_per_session: Dollars = None
    max_repeated_calls: int | None = None
    """How often in a row a session may send one and the same request."""
    rpm_limit_type: LimitType | None = None
    tpm_limit_type: LimitType | None = None
    team_member_budget: Dollars = None
    """Budget of every member who has none of their own; likewise the next three."""
    team_member_budget_duration: Name = None
    team_member_rpm_limit: int | None = None
    team_member_tpm_limit: int | None = None
    team_member_key_duration: Name = None
    default_team_member_models: list[str] | None = None
    tags: list[str] | None = None
    guardrails: list[str] | None = None
    policies: list[str] | None = None
    prompts: list[str] | None = None
    access_group_ids: list[str] | None = None
    allowed_passthrough_routes: list[str] | None = None
    denied_passthrough_routes: list[str] | None = None
    disable_global_guardrails: bool | None = None
    allowed_vector_store_indexes: list[dict[str, Any]] | None = None
    enforced_file_expires_after: dict[str, Any] | None = None
    enforced_batch_output_expires_after: dict[str, Any] | None = None


class TeamFields(TeamSettings):
    """The same with the documents, which these requests replace whole."""

    metadata: dict[str, Any] | None = None
    model_aliases: dict[str, str] | None = None
    """Model name of a call to the name used instead."""
    model_rpm_limit: dict[str, int] | None = None
    model_tpm_limit: dict[str, int] | None = None
    model_max_budget: dict[str, Any] | None = None
    router_settings: dict[str, Any] | None = None
    object_permission: dict[str, Any] | None = None
    secret_manager_settings: dict[str, Any] | None = None


class TeamCreate(TeamFields):
    """`POST /team/new`."""

    model_config = example(
        team_id="engineering",
        team_alias="Engineering",
        models=["gpt-4o"],
        max_budget=1000,
        budget_duration="30d",
        team_member_budget=50,
    )

    team_id: OptionalIdentifier = None
    """Made up if left out."""
    members_with_roles: list[Member] = Field(default=[], max_length=MAX_AT_ONCE)
    admins: list[Identifier] = Field(default=[], max_length=MAX_AT_ONCE)
    """User ids; an older way of saying `members_with_roles`."""
    members: list[Identifier] = Field(default=[], max_length=MAX_AT_ONCE)


class TeamUpdate(TeamFields):
    """`POST /team/update`: absent leaves a field alone, null clears it."""

    team_id: str
    spend: Dollars = None
    """What the team has spent in its current budget window; 0 opens the budget again."""


class TeamPatch(TeamSettings):
    """`PATCH /team/{team_id}`, a JSON merge patch: documents are merged, null removes an entry."""

    spend: Dollars = None
    metadata: dict[str, Any] | None = None
    model_aliases: dict[str, str | None] | None = None
    model_rpm_limit: dict[str, int | None] | None = None
    model_tpm_limit: dict[str, int | None] | None = None
    model_max_budget: dict[str, Any] | None = None
    router_settings: dict[str, Any] | None = None
    object_permission: dict[str, Any] | None = None
    secret_manager_settings: dict[str, Any] | None = None


class TeamName(Body):
    """`POST /team/block`, `/team/unblock`."""

    team_id: str


class TeamNames(Body):
    """`POST /team/delete`."""

    team_ids: list[str] = Field(min_length=1, max_length=MAX_AT_ONCE)


class TeamModels(Body):
    """`POST /team/model/add`, `/team/model/delete`."""

    team_id: str
    models: list[str]


class TeamPermissions(Body):
    """`POST /team/permissions_update`."""

    team_id: str
    team_member_permissions: list[str]


class ManyTeamsPermissions(Body):
    """`POST /team/permissions_bulk_update`: permissions that some teams, or all, are to have besides."""

    permissions: list[str]
    team_ids: list[str] | None = Field(default=None, max_length=MAX_AT_ONCE)
    apply_to_all_teams: bool = False


class TeamKeysUpdate(Body):
    """`POST /team/key/bulk_update`."""

    team_id: str
    key_ids: list[str] | None = Field(default=None, max_length=MAX_AT_ONCE)
    all_keys_in_team: bool = False
    update_fields: dict[str, Any]
    """Fields of `/key/update`."""


CALLBACK_VARS = frozenset(
    {
        *("langfuse_public_key", "langfuse_secret", "langfuse_secret_key", "langfuse_host", "langfuse_environment"),
        *("langfuse_span_scope", "langfuse_prompt_version", "gcs_bucket_name", "gcs_path_service_account"),
        *("langsmith_api_key", "langsmith_project", "langsmith_base_url", "langsmith_sampling_rate"),
        *("langsmith_tenant_id", "humanloop_api_key", "arize_api_key", "arize_space_key", "arize_space_id"),
        *("posthog_api_key", "posthog_api_url", "wandb_api_key", "weave_project_id", "dd_api_key", "dd_site"),
        *("dd_agent_host", "dd_agent_port", "newrelic_api_key", "newrelic_region", "signoz_ingestion_endpoint"),
        *("signoz_ingestion_key", "turn_off_message_logging", "litellm_disabled_callbacks"),
    }
)
"""What callbacks can be told."""


def _texts(values: Any) -> Any:
    if not isinstance(values, dict):
        return values
    return {name: _as_text(value) for name, value in values.items()}


def _as_text(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float) else value


class CallbackAdd(Body):
    """`POST /team/{team_id}/callback`."""

    callback_name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]{1,64}$")]
    """The name of an integration. Never a module: a team does not choose which code runs."""
    callback_type: CallbackType = "success_and_failure"
    callback_vars: Annotated[dict[str, Annotated[str, StringConstraints(max_length=10_000)]], BeforeValidator(_texts)]

    @model_validator(mode="after")
    def _check_names(self) -> CallbackAdd:
        for name in self.callback_vars:
            if name not in CALLBACK_VARS:
                nearest = get_close_matches(name, CALLBACK_VARS, n=1) or sorted(CALLBACK_VARS)
                raise ValueError(f"callback_vars: unknown name {name[:60]!r}; use one of: {', '.join(nearest)}")
        return self


class MemberLimits(Body):
    """What one member may use of a team."""

    max_budget_in_team: Dollars = None
    budget_duration: Name = None
    allowed_models: list[str] | None = None
    """Empty: all of the team's."""


class MemberAdd(MemberLimits):
    """`POST /team/member_add`."""

    model_config = example(team_id="engineering", member={"role": "user", "user_id": "ada"}, max_budget_in_team=20)

    team_id: str
    member: Member | list[Member]

    @property
    def people(self) -> list[Member]:
        """Whom to add."""
        return self.member if isinstance(self.member, list) else [self.member]

    @model_validator(mode="after")
    def _check_size(self) -> MemberAdd:
        if len(self.people) > MAX_AT_ONCE:
            raise ValueError(f"at most {MAX_AT_ONCE} members in one request")
        return self


class MembersAdd(MemberLimits):
    """`POST /team/bulk_member_add`."""

    team_id: str
    members: list[Member] | None = Field(default=None, max_length=MAX_AT_ONCE)
    all_users: bool = False
    """Everybody there is, instead of `members`."""


class MemberName(Body):
    """`POST /team/member_delete`."""

    team_id: str
    user_id: str | None = None
    user_email: str | None = None


class MemberUpdate(MemberLimits):
    """`POST /team/member_update`: absent leaves a field alone, null clears it."""

    team_id: str
    user_id: str | None = None
    user_email: str | None = None
    role: TeamRole | None = None
    tpm_limit: int | None = None
    rpm_limit: int | None = None
    temp_budget_increase: Dollars = None
    """Dollars on top of the budget until `temp_budget_expiry`."""
    temp_budget_expiry: Moment | None = None


class MemberSpendReset(Body):
    """`POST /team/{team_id}/member/{user_id}/reset_spend`."""

    reset_to: float
