"""Which column of LiteLLM becomes which field of ours, table by table. Sizes and meanings are the wire contract's.

A column is in `fields`, or read by name elsewhere, or follows from others, or is left behind for a reason. One that is
none of these came with a version that is not known here: it is told of where it holds something.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from tollway.litellm_import.report import Note
from tollway.litellm_import.source import Row

_EMPTY: tuple[Any, ...] = (None, "", [], {})
_NOT_AN_OBJECT = "is no JSON object"
_UNKNOWN = "a column that this version does not know"

_HISTORY = frozenset({"created_at", "created_by", "updated_at", "updated_by"})
_OF_THE_LEDGER = "what was spent by model is in the spend logs"
_AGENTS = "agents are not part of this version"


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """What is done with the columns of one table."""

    table: str
    fields: Collection[str] = ()
    """Columns that are fields of the wire, under the same name."""
    renamed: Mapping[str, str] = {}
    """Columns that are fields of the wire under another name."""
    objects: frozenset[str] = frozenset()
    """Those among them that have to be JSON objects."""
    elsewhere: frozenset[str] = frozenset()
    """Columns that are read by name, or that follow from others."""
    left: Mapping[str, str] = {}
    """Columns that are left behind, and why."""

    @property
    def columns(self) -> frozenset[str]:
        """Every column that is known."""
        return frozenset(self.fields) | frozenset(self.renamed) | self.elsewhere | frozenset(self.left) | _HISTORY


def wire_fields(rule: Rule, row: Row, notes: list[Note]) -> dict[str, Any]:
    """The fields of a row that hold something, as they would come over the API."""
    found: dict[str, Any] = {}
    for column, value in row.items():
        if value in _EMPTY:
            continue
        if column in rule.objects and not isinstance(value, dict):
            notes.append(Note(column, _NOT_AN_OBJECT))
        elif column in rule.renamed:
            found[rule.renamed[column]] = value
        elif column in rule.fields:
            found[column] = value
        elif column in rule.left and value:
            notes.append(Note(column, rule.left[column]))
        elif column not in rule.columns and value:
            notes.append(Note(column, _UNKNOWN))
    return found


BUDGETS = Rule(
    table="LiteLLM_BudgetTable",
    fields=(
        *("max_budget", "soft_budget", "max_parallel_requests", "tpm_limit", "rpm_limit", "tpd_limit"),
        *("model_max_budget", "budget_duration", "allowed_models", "temp_budget_expiry", "temp_budget_increase"),
    ),
    objects=frozenset({"model_max_budget"}),
    elsewhere=frozenset({"budget_id", "budget_reset_at"}),
)

ORGANIZATIONS = Rule(
    table="LiteLLM_OrganizationTable",
    fields=("organization_alias", "models", "metadata"),
    objects=frozenset({"metadata"}),
    elsewhere=frozenset({"organization_id", "budget_id", "spend", "object_permission_id"}),
    left={"model_spend": _OF_THE_LEDGER},
)

USERS = Rule(
    table="LiteLLM_UserTable",
    fields=(
        *("user_alias", "user_email", "user_role", "sso_user_id", "models", "metadata"),
        *("max_budget", "max_parallel_requests", "tpm_limit", "rpm_limit", "budget_duration"),
        *("model_max_budget", "allowed_cache_controls", "policies"),
    ),
    objects=frozenset({"metadata", "model_max_budget"}),
    elsewhere=frozenset(
        {"user_id", "spend", "budget_reset_at", "object_permission_id", "password_reset_required"}
        | {"last_breach_check_at", "teams", "organization_id"}
    ),
    left={
        "password": "kept otherwise than here: an invitation (/invitation/new) lets them choose one",
        "team_id": "of old versions; teams name their members",
        "model_spend": _OF_THE_LEDGER,
    },
)

TEAMS = Rule(
    table="LiteLLM_TeamTable",
    fields=(
        *("team_alias", "organization_id", "models", "blocked", "metadata", "max_budget", "soft_budget"),
        *("max_parallel_requests", "tpm_limit", "rpm_limit", "tpd_limit", "budget_duration", "model_max_budget"),
        *("router_settings", "team_member_permissions", "policies", "default_team_member_models", "budget_limits"),
    ),
    objects=frozenset({"metadata", "model_max_budget", "router_settings"}),
    elsewhere=frozenset(
        {"team_id", "spend", "budget_reset_at", "object_permission_id", "admins", "members", "members_with_roles"}
        | {"access_group_ids", "model_id"}
    ),
    left={
        "model_spend": _OF_THE_LEDGER,
        "allow_team_guardrail_config": "guardrails of teams are not part of this version",
    },
)

KEYS = Rule(
    table="LiteLLM_VerificationToken",
    fields=(
        *("key_alias", "user_id", "team_id", "organization_id", "project_id", "agent_id", "budget_id", "blocked"),
        *("models", "aliases", "config", "router_settings", "permissions", "metadata", "allowed_routes", "key_type"),
        *("max_parallel_requests", "tpm_limit", "rpm_limit", "tpd_limit", "max_budget", "budget_duration"),
        *("allowed_cache_controls", "policies", "model_max_budget", "budget_fallbacks", "budget_limits"),
        *("rotation_interval", "auto_rotate"),
    ),
    objects=frozenset(
        {"aliases", "config", "router_settings", "permissions", "metadata", "model_max_budget", "budget_fallbacks"}
    ),
    elsewhere=frozenset(
        {"token", "key_name", "spend", "expires", "budget_reset_at", "access_group_ids", "object_permission_id"}
        | {"settings_updated_at", "last_active", "rotation_count", "last_rotation_at", "key_rotation_at", "total_spend"}
        | {"soft_budget_cooldown"}
    ),
    left={"model_spend": _OF_THE_LEDGER},
)

PROJECTS = Rule(
    table="LiteLLM_ProjectTable",
    fields=(
        *("project_alias", "description", "team_id", "models", "metadata", "blocked"),
        *("model_rpm_limit", "model_tpm_limit"),
    ),
    objects=frozenset({"metadata", "model_rpm_limit", "model_tpm_limit"}),
    elsewhere=frozenset({"project_id", "budget_id", "spend", "object_permission_id"}),
    left={"model_spend": _OF_THE_LEDGER},
)

CUSTOMERS = Rule(
    table="LiteLLM_EndUserTable",
    fields=("alias", "allowed_model_region", "default_model", "models", "blocked"),
    elsewhere=frozenset({"user_id", "budget_id", "spend", "object_permission_id"}),
)

TAGS = Rule(
    table="LiteLLM_TagTable",
    fields=("description", "models"),
    elsewhere=frozenset({"tag_name", "budget_id", "spend"}),
    left={"model_info": "says again what the models are called"},
)

ACCESS_GROUPS = Rule(
    table="LiteLLM_AccessGroupTable",
    fields=("description",),
    renamed={
        "access_group_name": "name",
        "access_model_names": "models",
        "access_mcp_server_ids": "mcp_server_ids",
        "access_agent_ids": "agent_ids",
    },
    elsewhere=frozenset({"access_group_id", "assigned_team_ids", "assigned_key_ids"}),
)

GROUP_BUDGETS = Rule(
    table="LiteLLM_ModelAccessGroupBudgetTable", elsewhere=frozenset({"access_group_name", "budget_id", "spend"})
)

TEAM_MEMBERS = Rule(
    table="LiteLLM_TeamMembership",
    elsewhere=frozenset({"user_id", "team_id", "spend", "budget_id", "total_spend"}),
)

ORGANIZATION_MEMBERS = Rule(
    table="LiteLLM_OrganizationMembership",
    elsewhere=frozenset({"user_id", "organization_id", "user_role", "spend", "budget_id"}),
)

MODELS = Rule(
    table="LiteLLM_ProxyModelTable",
    elsewhere=frozenset({"model_id", "model_name", "litellm_params", "model_info", "blocked"}),
)

CREDENTIALS = Rule(
    table="LiteLLM_CredentialsTable",
    elsewhere=frozenset({"credential_id", "credential_name", "display_name", "credential_values", "credential_info"}),
)

OLD_KEYS = Rule(
    table="LiteLLM_DeprecatedVerificationToken",
    elsewhere=frozenset({"id", "token", "active_token_id", "revoke_at"}),
)

SPEND_LOGS = "LiteLLM_SpendLogs"
DAYS = "LiteLLM_DailyUserSpend"
WINDOWS = "LiteLLM_BudgetWindowSpend"
SETTINGS = "LiteLLM_Config"
OBJECT_PERMISSIONS = "LiteLLM_ObjectPermissionTable"
MODEL_ALIASES = "LiteLLM_ModelTable"

READ = frozenset(
    {
        *(
            rule.table
            for rule in (BUDGETS, ORGANIZATIONS, USERS, TEAMS, KEYS, PROJECTS, CUSTOMERS, TAGS, ACCESS_GROUPS)
        ),
        *(rule.table for rule in (GROUP_BUDGETS, TEAM_MEMBERS, ORGANIZATION_MEMBERS, MODELS, CREDENTIALS, OLD_KEYS)),
        *(SPEND_LOGS, DAYS, WINDOWS, SETTINGS, OBJECT_PERMISSIONS, MODEL_ALIASES),
    }
)
"""Tables that are read."""

_SUMS = "sums of the spend logs, made anew from these"
_OTHER_PARTS = "belongs to a part of LiteLLM that this version does not have"
_ITS_OWN = "is of use to LiteLLM itself alone"

LEFT: Mapping[str, str] = {
    **dict.fromkeys(
        (
            *("LiteLLM_DailyTeamSpend", "LiteLLM_DailyOrganizationSpend"),
            *("LiteLLM_DailyEndUserSpend", "LiteLLM_DailyTagSpend", "LiteLLM_DailyAgentSpend"),
            *("LiteLLM_DailyGlobalSpend", "LiteLLM_DailyModelUsage", "LiteLLM_DailyGatewayRequests"),
        ),
        _SUMS,
    ),
    "LiteLLM_ErrorLogs": "failed calls are in the spend logs",
    "LiteLLM_AuditLog": "who changed what in LiteLLM stays there; the audit log here begins anew",
    "LiteLLM_InvitationLink": "links of the old console; new ones are made with /invitation/new",
    "LiteLLM_DeletedTeamTable": "was deleted",
    "LiteLLM_DeletedVerificationToken": "was deleted",
    "LiteLLM_SSOConfig": "signing in with a single sign-on is set up anew",
    "LiteLLM_CacheConfig": "the cache is set up in the configuration file or with /cache/settings",
    **dict.fromkeys(
        (
            *("LiteLLM_CronJob", "LiteLLM_HealthCheckTable", "LiteLLM_UISettings", "LiteLLM_UserNotifications"),
            *("LiteLLM_ProxyWorkerHeartbeat", "LiteLLM_ConfigOverrides", "LiteLLM_SpendLogToolIndex"),
            "LiteLLM_SpendLogGuardrailIndex",
        ),
        _ITS_OWN,
    ),
    "LiteLLM_AgentsTable": _AGENTS,
}
"""Tables that are left behind, and why. Others: `OTHER`."""

OTHER = _OTHER_PARTS
