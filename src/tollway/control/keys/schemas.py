"""Bodies of `/key/*`, under the wire contract's names."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import ConfigDict, Field
from typing_extensions import override

from tollway.control.kit.body import Body, Dollars, Name, example
from tollway.control.kit.wire import WireModel

KeyType = Literal["default", "llm_api", "management", "read_only"]
LimitType = Literal["best_effort_throughput", "guaranteed_throughput", "dynamic"]


class RouterSettings(WireModel):
    """Per-key routing, with every field shown."""

    model_config = ConfigDict(extra="allow")

    allowed_fails: int | None = None
    context_window_fallbacks: list[Any] | None = None
    cooldown_time: float | None = None
    enable_tag_filtering: bool | None = None
    fallbacks: list[Any] | None = None
    max_retries: int | None = None
    model_group_affinity_config: dict[str, Any] | None = None
    model_group_alias: dict[str, Any] | None = {}
    model_group_retry_policy: dict[str, Any] | None = None
    num_retries: int | None = None
    optional_pre_call_checks: list[str] | None = None
    retry_after: float | None = None
    retry_policy: dict[str, Any] | None = None
    routing_groups: list[Any] | None = None
    routing_strategy: str | None = None
    routing_strategy_args: dict[str, Any] | None = None
    tag_routing_prefix: str | None = None
    timeout: float | None = None
    weights: dict[str, float] | None = None


class KeyFields(Body):
    """What can be said about a key, when it is made and later."""

    kept_for_later = (
        *("budget_fallbacks", "tpd_limit", "mcp_rpm_limit", "tag_rpm_limit", "guardrails", "policies", "prompts"),
        *("enforced_params", "router_settings", "object_permission", "send_invite_email"),
        "throttle_on_budget_exceeded",
    )

    key_alias: Name = None
    """Unique over all keys."""
    duration: str | None = None
    """Lifetime from now: `30s`, `12h`, `90d`, `1mo`. None: for ever."""
    models: list[str] | None = None
    aliases: dict[str, str] | None = None
    spend: float | None = None
    max_budget: Dollars = None
    soft_budget: Dollars = None
    budget_duration: Name = None
    budget_id: str | None = None
    budget_limits: list[dict[str, Any]] | None = None
    user_id: str | None = None
    team_id: str | None = None
    """An empty one is none when the key is made, and changes nothing later."""
    organization_id: str | None = None
    project_id: str | None = None
    agent_id: str | None = None
    tpm_limit: int | None = None
    rpm_limit: int | None = None
    tpd_limit: int | None = None
    max_parallel_requests: int | None = None
    max_iterations: int | None = None
    """Calls in one session (`litellm_session_id`): a run of an agent."""
    max_budget_per_session: Dollars = None
    """What one session may cost."""
    max_repeated_calls: int | None = None
    """How often in a row a session may send one and the same request."""
    rpm_limit_type: LimitType | None = None
    tpm_limit_type: LimitType | None = None
    model_rpm_limit: dict[str, int] | None = None
    model_tpm_limit: dict[str, int] | None = None
    model_max_budget: dict[str, Any] | None = None
    budget_fallbacks: dict[str, list[str]] | None = None
    default_estimated_output_tokens: int | None = None
    default_estimated_output_tokens_per_model: dict[str, int] | None = None
    mcp_rpm_limit: dict[str, int] | None = None
    tag_rpm_limit: dict[str, int] | None = None
    config: dict[str, Any] | None = None
    permissions: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None
    tags: list[str] | None = None
    guardrails: list[str] | None = None
    policies: list[str] | None = None
    prompts: list[str] | None = None
    disable_global_guardrails: bool | None = None
    enforced_params: list[str] | None = None
    allowed_routes: list[str] | None = None
    allowed_passthrough_routes: list[str] | None = None
    denied_passthrough_routes: list[str] | None = None
    key_type: KeyType | None = None
    allowed_cache_controls: list[str] | None = None
    blocked: bool | None = None
    object_permission: dict[str, Any] | None = None
    access_group_ids: list[str] | None = None
    router_settings: RouterSettings | None = None
    allowed_vector_store_indexes: list[dict[str, Any]] | None = None
    auto_rotate: bool | None = None
    rotation_interval: str | None = None
    send_invite_email: bool | None = None
    throttle_on_budget_exceeded: bool | None = None
    enable_prompt_caching: bool | None = None
    end_user_budget_id: str | None = None

    @override
    def warnings(self) -> list[str]:
        """Also limits that were put into `metadata`, where they limit nothing."""
        misplaced = sorted(_LIMITS.intersection(self.metadata or ()))
        return [
            *super().warnings(),
            *(f"'{name}' inside 'metadata' limits nothing; put it next to 'metadata'" for name in misplaced),
        ]


_LIMITS = frozenset(
    {
        *("max_budget", "soft_budget", "budget_duration", "duration", "models", "blocked", "allowed_routes"),
        *("rpm_limit", "tpm_limit", "tpd_limit", "max_parallel_requests", "model_max_budget"),
    }
)


class KeyCreate(KeyFields):
    """`POST /key/generate`."""

    model_config = example(
        key_alias="my-app",
        models=["gpt-4o"],
        max_budget=5,
        budget_duration="30d",
        rpm_limit=60,
        metadata={"owner": "research"},
    )

    key: str | None = None
    """A value of one's own: `sk-` and at least 16 characters in all."""


class ServiceAccountCreate(KeyCreate):
    """`POST /key/service-account/generate`."""

    model_config = example(team_id="engineering", key_alias="nightly-batch", models=["gpt-4o"], max_budget=100)


class KeyUpdate(KeyFields):
    """`POST /key/update`: absent leaves a field alone, null clears it."""

    key: str | None = None
    temp_budget_increase: float | None = None
    temp_budget_expiry: datetime | None = None


class KeyRegenerate(KeyFields):
    """`POST /key/regenerate`: a new value for a key, and any change to its fields."""

    key: str | None = None
    new_key: str | None = None
    grace_period: str | None = None
    """How long the old value goes on working."""
    new_master_key: str | None = None


class KeyBulkItem(Body):
    """One key of `POST /key/bulk_update`, and what to change about it."""

    key: str
    budget_id: str | None = None
    max_budget: Dollars = None
    team_id: str | None = None
    tags: list[str] | None = None
    object_permission: dict[str, Any] | None = None

    def settings(self) -> dict[str, Any]:
        """What was sent besides the key's name."""
        return {name: value for name, value in self.changes().items() if name != "key"}


class KeyBulkUpdate(Body):
    """`POST /key/bulk_update`."""

    keys: list[KeyBulkItem] = Field(min_length=1, max_length=500)


class KeyName(Body):
    """`POST /key/block`, `/key/unblock`: a key, in the clear or by its hash."""

    key: str


class KeyNames(Body):
    """`POST /key/delete`."""

    keys: list[str] | None = None
    key_aliases: list[str] | None = None


class KeyQuestion(Body):
    """`POST /v2/key/info`."""

    keys: list[str] = []
    key_aliases: list[str] = []


class SpendReset(Body):
    """`POST /key/{key}/reset_spend`."""

    reset_to: float


class _KeyOut(WireModel):
    """What every answer about a key says."""

    key_name: str | None = None
    key_alias: str | None = None
    spend: float = 0.0
    expires: datetime | None = None
    models: list[str] = []
    aliases: dict[str, Any] = {}
    config: dict[str, Any] = {}
    user_id: str | None = None
    team_id: str | None = None
    agent_id: str | None = None
    project_id: str | None = None
    permissions: dict[str, Any] = {}
    max_parallel_requests: int | None = None
    metadata: dict[str, Any] = {}
    blocked: bool | None = None
    tpm_limit: int | None = None
    rpm_limit: int | None = None
    tpd_limit: int | None = None
    max_budget: float | None = None
    budget_duration: str | None = None
    allowed_cache_controls: list[str] = []
    allowed_routes: list[str] = []
    key_type: str | None = None
    access_group_ids: list[str] = []
    model_max_budget: dict[str, Any] = {}
    budget_fallbacks: dict[str, Any] = {}
    budget_id: str | None = None
    budget_limits: list[dict[str, Any]] | None = None
    object_permission: dict[str, Any] | None = None
    litellm_budget_table: dict[str, Any] | None = None
    created_at: datetime
    created_by: str | None = None
    updated_at: datetime
    updated_by: str | None = None


class KeyGenerated(_KeyOut):
    """The one answer with a key in the clear. Fields that are kept in `metadata` are null here and shown there."""

    key: str
    token: str | None
    token_id: str
    organization_id: str | None = None
    router_settings: RouterSettings = RouterSettings()
    duration: None = None
    guardrails: None = None
    policies: None = None
    prompts: None = None
    tags: None = None
    enforced_params: None = None
    disable_global_guardrails: None = None
    allowed_passthrough_routes: None = None
    denied_passthrough_routes: None = None
    allowed_vector_store_indexes: None = None
    default_estimated_output_tokens: None = None
    default_estimated_output_tokens_per_model: None = None
    enable_prompt_caching: None = None
    end_user_budget_id: None = None
    throttle_on_budget_exceeded: None = None
    mcp_rpm_limit: None = None
    tag_rpm_limit: None = None
    model_rpm_limit: None = None
    model_tpm_limit: None = None
    rpm_limit_type: None = None
    tpm_limit_type: None = None


class KeyState(_KeyOut):
    """What is known about a key besides: what it has spent, when its budget resets, when it rotates."""

    total_spend: float = 0.0
    budget_reset_at: datetime | None = None
    router_settings: dict[str, Any] = {}
    soft_budget_cooldown: bool = False
    model_spend: dict[str, float] = {}
    object_permission_id: str | None = None
    last_active: datetime | None = None
    auto_rotate: bool = False
    rotation_interval: str | None = None
    rotation_count: int = 0
    last_rotation_at: datetime | None = None
    key_rotation_at: datetime | None = None
    settings_updated_at: datetime | None = None


class KeyRow(KeyState):
    """A key with its relations, as `/key/info`, `/key/update` and `/key/unblock` show it."""

    organization_id: str | None = None
    policies: list[str] = []
    litellm_organization_table: None = None
    litellm_project_table: None = None
    jwt_key_mappings: None = None


class KeyInfo(KeyRow):
    """`info` of `GET /key/info`."""

    status: Literal["active", "expired", "revoked", "deleted"]


class DeletedKeyInfo(KeyInfo):
    """A key that is no more."""

    deleted_at: datetime
    deleted_by: str | None


class KeyInfoAnswer(WireModel):
    """`GET /key/info`."""

    key: str
    info: DeletedKeyInfo | KeyInfo


class KeyToken(KeyRow):
    """A row with its hash."""

    token: str


class KeyBulkSuccess(WireModel):
    """A key that was changed."""

    key: str
    key_info: KeyToken


class KeyBulkFailure(WireModel):
    """A key that was not, and why."""

    key: str
    key_info: None = None
    failed_reason: str


class KeyBulkUpdated(WireModel):
    """`POST /key/bulk_update`."""

    total_requested: int
    successful_updates: list[KeyBulkSuccess]
    failed_updates: list[KeyBulkFailure]


class KeyUpdated(KeyToken):
    """`POST /key/update`."""

    key: str


class KeysInfo(WireModel):
    """`POST /v2/key/info`."""

    key: list[str]
    info: list[KeyToken]


class KeySuccessor(WireModel):
    """`GET /key/successor`, which only Tollway has."""

    key: str
    """The new value."""
    old_key_works_until: datetime


class KeyBlocked(KeyState):
    """`POST /key/block`; here the organization is called `org_id`."""

    token: str
    org_id: str | None = None


class KeyListed(KeyBlocked):
    """A full entry of `GET /key/list`: the key as a caller, most of which only a call fills in."""

    api_key: str | None = None
    allowed_model_region: None = None
    created_by_user: dict[str, Any] | None = None
    end_user_id: None = None
    end_user_max_budget: None = None
    end_user_model_max_budget: None = None
    end_user_object_permission: None = None
    end_user_rpm_limit: None = None
    end_user_tpd_limit: None = None
    end_user_tpm_limit: None = None
    is_session_token: bool = False
    jwt_claims: None = None
    last_refreshed_at: None = None
    organization_alias: None = None
    organization_max_budget: None = None
    organization_metadata: None = None
    organization_rpm_limit: None = None
    organization_tpm_limit: None = None
    parent_otel_span: None = None
    project_alias: None = None
    project_metadata: None = None
    request_route: None = None
    rpm_limit_per_model: None = None
    soft_budget: float | None = None
    team_alias: None = None
    team_blocked: bool = False
    team_max_budget: None = None
    team_member: None = None
    team_member_rpm_limit: None = None
    team_member_spend: None = None
    team_member_tpm_limit: None = None
    team_metadata: None = None
    team_model_aliases: None = None
    team_model_max_budget: None = None
    team_models: list[str] = []
    team_object_permission: None = None
    team_object_permission_id: None = None
    team_rpm_limit: None = None
    team_soft_budget: None = None
    team_spend: None = None
    team_tpd_limit: None = None
    team_tpm_limit: None = None
    tpm_limit_per_model: None = None
    user: dict[str, Any] | None = None
    user_email: None = None
    user_max_budget: None = None
    user_model_max_budget: None = None
    user_role: None = None
    user_rpm_limit: None = None
    user_spend: None = None
    user_tpm_limit: None = None


class KeyList(WireModel):
    """`GET /key/list`: hashes, or whole keys."""

    keys: list[str] | list[KeyListed]
    total_count: int
    current_page: int
    total_pages: int


class KeyAliases(WireModel):
    """`GET /key/aliases`."""

    aliases: list[str]
    total_count: int
    current_page: int
    total_pages: int
    size: int


class KeyHealth(WireModel):
    """`POST /key/health`."""

    key: Literal["healthy", "unhealthy"] = "healthy"
    logging_callbacks: dict[str, Any] | None = None


class KeysDeleted(WireModel):
    """`POST /key/delete`."""

    deleted_keys: list[str]


class SpendWasReset(WireModel):
    """`POST /key/{key}/reset_spend`."""

    key_hash: str
    spend: float
    previous_spend: float
    max_budget: float | None
    budget_reset_at: datetime | None
