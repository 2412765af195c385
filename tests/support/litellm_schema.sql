-- The tables of LiteLLM 1.106.2 that hold something to import or to leave, as its schema.prisma describes them.

CREATE TABLE "LiteLLM_BudgetTable" (
  "budget_id" text NOT NULL,
  "max_budget" double precision,
  "soft_budget" double precision,
  "max_parallel_requests" integer,
  "tpm_limit" bigint,
  "rpm_limit" bigint,
  "tpd_limit" bigint,
  "model_max_budget" jsonb,
  "budget_duration" text,
  "budget_reset_at" timestamp(3),
  "allowed_models" text[] DEFAULT ARRAY[]::text[],
  "temp_budget_increase" double precision,
  "temp_budget_expiry" timestamp(3),
  "created_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  "created_by" text NOT NULL DEFAULT '',
  "updated_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  "updated_by" text NOT NULL DEFAULT '',
  PRIMARY KEY ("budget_id")
);

CREATE TABLE "LiteLLM_CredentialsTable" (
  "credential_id" text NOT NULL,
  "credential_name" text NOT NULL DEFAULT '',
  "display_name" text,
  "credential_values" jsonb NOT NULL DEFAULT '{}',
  "credential_info" jsonb,
  "created_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  "created_by" text NOT NULL DEFAULT '',
  "updated_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  "updated_by" text NOT NULL DEFAULT '',
  PRIMARY KEY ("credential_id")
);

CREATE TABLE "LiteLLM_ProxyModelTable" (
  "model_id" text NOT NULL,
  "model_name" text NOT NULL DEFAULT '',
  "litellm_params" jsonb NOT NULL DEFAULT '{}',
  "model_info" jsonb,
  "blocked" boolean NOT NULL DEFAULT false,
  "created_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  "created_by" text NOT NULL DEFAULT '',
  "updated_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  "updated_by" text NOT NULL DEFAULT '',
  PRIMARY KEY ("model_id")
);

CREATE TABLE "LiteLLM_OrganizationTable" (
  "organization_id" text NOT NULL,
  "organization_alias" text NOT NULL DEFAULT '',
  "budget_id" text NOT NULL DEFAULT '',
  "metadata" jsonb NOT NULL DEFAULT '{}',
  "models" text[] DEFAULT ARRAY[]::text[],
  "spend" double precision NOT NULL DEFAULT 0,
  "model_spend" jsonb NOT NULL DEFAULT '{}',
  "object_permission_id" text,
  "created_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  "created_by" text NOT NULL DEFAULT '',
  "updated_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  "updated_by" text NOT NULL DEFAULT '',
  PRIMARY KEY ("organization_id")
);

CREATE TABLE "LiteLLM_ModelTable" (
  "id" integer NOT NULL,
  "model_aliases" jsonb,
  "created_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  "created_by" text NOT NULL DEFAULT '',
  "updated_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  "updated_by" text NOT NULL DEFAULT '',
  PRIMARY KEY ("id")
);

CREATE TABLE "LiteLLM_TeamTable" (
  "team_id" text NOT NULL,
  "team_alias" text,
  "organization_id" text,
  "object_permission_id" text,
  "admins" text[] DEFAULT ARRAY[]::text[],
  "members" text[] DEFAULT ARRAY[]::text[],
  "members_with_roles" jsonb NOT NULL DEFAULT '{}',
  "metadata" jsonb NOT NULL DEFAULT '{}',
  "max_budget" double precision,
  "soft_budget" double precision,
  "spend" double precision NOT NULL DEFAULT 0,
  "models" text[] DEFAULT ARRAY[]::text[],
  "max_parallel_requests" integer,
  "tpm_limit" bigint,
  "rpm_limit" bigint,
  "tpd_limit" bigint,
  "budget_duration" text,
  "budget_reset_at" timestamp(3),
  "blocked" boolean NOT NULL DEFAULT false,
  "created_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  "updated_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  "model_spend" jsonb NOT NULL DEFAULT '{}',
  "model_max_budget" jsonb NOT NULL DEFAULT '{}',
  "router_settings" jsonb,
  "team_member_permissions" text[] DEFAULT ARRAY[]::text[],
  "access_group_ids" text[] DEFAULT ARRAY[]::text[],
  "policies" text[] DEFAULT ARRAY[]::text[],
  "default_team_member_models" text[] DEFAULT ARRAY[]::text[],
  "budget_limits" jsonb,
  "model_id" integer,
  "allow_team_guardrail_config" boolean NOT NULL DEFAULT false,
  PRIMARY KEY ("team_id")
);

CREATE TABLE "LiteLLM_UserTable" (
  "user_id" text NOT NULL,
  "user_alias" text,
  "team_id" text,
  "sso_user_id" text,
  "organization_id" text,
  "object_permission_id" text,
  "password" text,
  "password_reset_required" boolean,
  "last_breach_check_at" timestamp(3),
  "teams" text[] DEFAULT ARRAY[]::text[],
  "user_role" text,
  "max_budget" double precision,
  "spend" double precision NOT NULL DEFAULT 0,
  "user_email" text,
  "models" text[] DEFAULT ARRAY[]::text[],
  "metadata" jsonb NOT NULL DEFAULT '{}',
  "max_parallel_requests" integer,
  "tpm_limit" bigint,
  "rpm_limit" bigint,
  "budget_duration" text,
  "budget_reset_at" timestamp(3),
  "allowed_cache_controls" text[] DEFAULT ARRAY[]::text[],
  "policies" text[] DEFAULT ARRAY[]::text[],
  "model_spend" jsonb NOT NULL DEFAULT '{}',
  "model_max_budget" jsonb NOT NULL DEFAULT '{}',
  "created_at" timestamp(3),
  "updated_at" timestamp(3),
  PRIMARY KEY ("user_id")
);

CREATE TABLE "LiteLLM_ObjectPermissionTable" (
  "object_permission_id" text NOT NULL,
  "mcp_servers" text[] DEFAULT ARRAY[]::text[],
  "mcp_access_groups" text[] DEFAULT ARRAY[]::text[],
  "mcp_tool_permissions" jsonb,
  "vector_stores" text[] DEFAULT ARRAY[]::text[],
  "agents" text[] DEFAULT ARRAY[]::text[],
  "agent_access_groups" text[] DEFAULT ARRAY[]::text[],
  "models" text[] DEFAULT ARRAY[]::text[],
  "blocked_tools" text[] DEFAULT ARRAY[]::text[],
  "mcp_toolsets" text[] DEFAULT ARRAY[]::text[],
  "search_tools" text[] DEFAULT ARRAY[]::text[],
  "mcp_tool_search_enabled" boolean,
  "skills" text[] DEFAULT ARRAY[]::text[],
  PRIMARY KEY ("object_permission_id")
);

CREATE TABLE "LiteLLM_VerificationToken" (
  "token" text NOT NULL,
  "key_name" text,
  "key_alias" text,
  "soft_budget_cooldown" boolean NOT NULL DEFAULT false,
  "spend" double precision NOT NULL DEFAULT 0,
  "total_spend" double precision NOT NULL DEFAULT 0,
  "expires" timestamp(3),
  "models" text[] DEFAULT ARRAY[]::text[],
  "aliases" jsonb NOT NULL DEFAULT '{}',
  "config" jsonb NOT NULL DEFAULT '{}',
  "router_settings" jsonb,
  "user_id" text,
  "team_id" text,
  "agent_id" text,
  "project_id" text,
  "permissions" jsonb NOT NULL DEFAULT '{}',
  "max_parallel_requests" integer,
  "metadata" jsonb NOT NULL DEFAULT '{}',
  "blocked" boolean,
  "tpm_limit" bigint,
  "rpm_limit" bigint,
  "tpd_limit" bigint,
  "max_budget" double precision,
  "budget_duration" text,
  "budget_reset_at" timestamp(3),
  "allowed_cache_controls" text[] DEFAULT ARRAY[]::text[],
  "allowed_routes" text[] DEFAULT ARRAY[]::text[],
  "key_type" text,
  "policies" text[] DEFAULT ARRAY[]::text[],
  "access_group_ids" text[] DEFAULT ARRAY[]::text[],
  "model_spend" jsonb NOT NULL DEFAULT '{}',
  "model_max_budget" jsonb NOT NULL DEFAULT '{}',
  "budget_fallbacks" jsonb NOT NULL DEFAULT '{}',
  "budget_id" text,
  "organization_id" text,
  "object_permission_id" text,
  "created_at" timestamp(3),
  "created_by" text,
  "updated_at" timestamp(3),
  "updated_by" text,
  "settings_updated_at" timestamp(3),
  "last_active" timestamp(3),
  "rotation_count" integer,
  "auto_rotate" boolean,
  "rotation_interval" text,
  "last_rotation_at" timestamp(3),
  "key_rotation_at" timestamp(3),
  "budget_limits" jsonb,
  PRIMARY KEY ("token")
);

CREATE TABLE "LiteLLM_DeprecatedVerificationToken" (
  "id" text NOT NULL,
  "token" text NOT NULL DEFAULT '',
  "active_token_id" text NOT NULL DEFAULT '',
  "revoke_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  "created_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  PRIMARY KEY ("id")
);

CREATE TABLE "LiteLLM_EndUserTable" (
  "user_id" text NOT NULL,
  "alias" text,
  "spend" double precision NOT NULL DEFAULT 0,
  "allowed_model_region" text,
  "default_model" text,
  "models" text[] DEFAULT ARRAY[]::text[],
  "budget_id" text,
  "object_permission_id" text,
  "blocked" boolean NOT NULL DEFAULT false,
  PRIMARY KEY ("user_id")
);

CREATE TABLE "LiteLLM_TagTable" (
  "tag_name" text NOT NULL,
  "description" text,
  "models" text[] DEFAULT ARRAY[]::text[],
  "model_info" jsonb,
  "spend" double precision NOT NULL DEFAULT 0,
  "budget_id" text,
  "created_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  "created_by" text,
  "updated_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  PRIMARY KEY ("tag_name")
);

CREATE TABLE "LiteLLM_Config" (
  "param_name" text NOT NULL,
  "param_value" jsonb,
  "last_run_at" timestamp(3),
  "reload_revision" bigint NOT NULL DEFAULT 0,
  PRIMARY KEY ("param_name")
);

CREATE TABLE "LiteLLM_SpendLogs" (
  "request_id" text NOT NULL,
  "call_type" text NOT NULL DEFAULT '',
  "api_key" text NOT NULL DEFAULT '',
  "spend" double precision NOT NULL DEFAULT 0,
  "total_tokens" integer NOT NULL DEFAULT 0,
  "prompt_tokens" integer NOT NULL DEFAULT 0,
  "completion_tokens" integer NOT NULL DEFAULT 0,
  "startTime" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  "endTime" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  "request_duration_ms" integer,
  "completionStartTime" timestamp(3),
  "model" text NOT NULL DEFAULT '',
  "model_id" text,
  "model_group" text,
  "custom_llm_provider" text,
  "api_base" text,
  "user" text,
  "metadata" jsonb,
  "cache_hit" text,
  "cache_key" text,
  "request_tags" jsonb,
  "team_id" text,
  "organization_id" text,
  "end_user" text,
  "requester_ip_address" text,
  "messages" jsonb,
  "response" jsonb,
  "session_id" text,
  "status" text,
  "mcp_namespaced_tool_name" text,
  "billing_agent_id" text,
  "agent_id" text,
  "proxy_server_request" jsonb,
  "litellm_call_id" text,
  "created_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  "updated_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  PRIMARY KEY ("request_id")
);

CREATE TABLE "LiteLLM_ErrorLogs" (
  "request_id" text NOT NULL,
  "startTime" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  "endTime" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  "api_base" text NOT NULL DEFAULT '',
  "model_group" text NOT NULL DEFAULT '',
  "litellm_model_name" text NOT NULL DEFAULT '',
  "model_id" text NOT NULL DEFAULT '',
  "request_kwargs" jsonb NOT NULL DEFAULT '{}',
  "exception_type" text NOT NULL DEFAULT '',
  "exception_string" text NOT NULL DEFAULT '',
  "status_code" text NOT NULL DEFAULT '',
  PRIMARY KEY ("request_id")
);

CREATE TABLE "LiteLLM_TeamMembership" (
  "user_id" text NOT NULL,
  "team_id" text NOT NULL,
  "spend" double precision NOT NULL DEFAULT 0,
  "total_spend" double precision NOT NULL DEFAULT 0,
  "budget_id" text,
  PRIMARY KEY ("user_id", "team_id")
);

CREATE TABLE "LiteLLM_OrganizationMembership" (
  "user_id" text NOT NULL,
  "organization_id" text NOT NULL,
  "user_role" text,
  "spend" double precision,
  "budget_id" text,
  "created_at" timestamp(3),
  "updated_at" timestamp(3),
  PRIMARY KEY ("user_id", "organization_id")
);

CREATE TABLE "LiteLLM_InvitationLink" (
  "id" text NOT NULL,
  "user_id" text NOT NULL DEFAULT '',
  "is_accepted" boolean NOT NULL DEFAULT false,
  "accepted_at" timestamp(3),
  "expires_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  "created_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  "created_by" text NOT NULL DEFAULT '',
  "updated_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  "updated_by" text NOT NULL DEFAULT '',
  PRIMARY KEY ("id")
);

CREATE TABLE "LiteLLM_AuditLog" (
  "id" text NOT NULL,
  "updated_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  "changed_by" text NOT NULL DEFAULT '',
  "changed_by_api_key" text NOT NULL DEFAULT '',
  "action" text NOT NULL DEFAULT '',
  "table_name" text NOT NULL DEFAULT '',
  "object_id" text NOT NULL DEFAULT '',
  "before_value" jsonb,
  "updated_values" jsonb,
  PRIMARY KEY ("id")
);

CREATE TABLE "LiteLLM_DailyUserSpend" (
  "id" text NOT NULL,
  "user_id" text,
  "date" text NOT NULL DEFAULT '',
  "api_key" text NOT NULL DEFAULT '',
  "model" text,
  "model_group" text,
  "custom_llm_provider" text,
  "mcp_namespaced_tool_name" text,
  "endpoint" text,
  "prompt_tokens" bigint NOT NULL DEFAULT 0,
  "completion_tokens" bigint NOT NULL DEFAULT 0,
  "cache_read_input_tokens" bigint NOT NULL DEFAULT 0,
  "cache_creation_input_tokens" bigint NOT NULL DEFAULT 0,
  "compression_saved_tokens" bigint NOT NULL DEFAULT 0,
  "compression_savings_spend" double precision NOT NULL DEFAULT 0,
  "prompt_caching_savings_spend" double precision NOT NULL DEFAULT 0,
  "gateway_injected_caching_savings_spend" double precision NOT NULL DEFAULT 0,
  "autorouter_savings_spend" double precision NOT NULL DEFAULT 0,
  "spend" double precision NOT NULL DEFAULT 0,
  "api_requests" bigint NOT NULL DEFAULT 0,
  "successful_requests" bigint NOT NULL DEFAULT 0,
  "failed_requests" bigint NOT NULL DEFAULT 0,
  "total_response_time_ms" bigint NOT NULL DEFAULT 0,
  "timed_requests" bigint NOT NULL DEFAULT 0,
  "created_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  "updated_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  PRIMARY KEY ("id")
);

CREATE TABLE "LiteLLM_DailyOrganizationSpend" (
  "id" text NOT NULL,
  "organization_id" text,
  "date" text NOT NULL DEFAULT '',
  "api_key" text NOT NULL DEFAULT '',
  "model" text,
  "model_group" text,
  "custom_llm_provider" text,
  "mcp_namespaced_tool_name" text,
  "endpoint" text,
  "prompt_tokens" bigint NOT NULL DEFAULT 0,
  "completion_tokens" bigint NOT NULL DEFAULT 0,
  "cache_read_input_tokens" bigint NOT NULL DEFAULT 0,
  "cache_creation_input_tokens" bigint NOT NULL DEFAULT 0,
  "compression_saved_tokens" bigint NOT NULL DEFAULT 0,
  "compression_savings_spend" double precision NOT NULL DEFAULT 0,
  "prompt_caching_savings_spend" double precision NOT NULL DEFAULT 0,
  "gateway_injected_caching_savings_spend" double precision NOT NULL DEFAULT 0,
  "autorouter_savings_spend" double precision NOT NULL DEFAULT 0,
  "spend" double precision NOT NULL DEFAULT 0,
  "api_requests" bigint NOT NULL DEFAULT 0,
  "successful_requests" bigint NOT NULL DEFAULT 0,
  "failed_requests" bigint NOT NULL DEFAULT 0,
  "total_response_time_ms" bigint NOT NULL DEFAULT 0,
  "timed_requests" bigint NOT NULL DEFAULT 0,
  "created_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  "updated_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  PRIMARY KEY ("id")
);

CREATE TABLE "LiteLLM_DailyEndUserSpend" (
  "id" text NOT NULL,
  "end_user_id" text,
  "date" text NOT NULL DEFAULT '',
  "api_key" text NOT NULL DEFAULT '',
  "model" text,
  "model_group" text,
  "custom_llm_provider" text,
  "mcp_namespaced_tool_name" text,
  "endpoint" text,
  "prompt_tokens" bigint NOT NULL DEFAULT 0,
  "completion_tokens" bigint NOT NULL DEFAULT 0,
  "cache_read_input_tokens" bigint NOT NULL DEFAULT 0,
  "cache_creation_input_tokens" bigint NOT NULL DEFAULT 0,
  "compression_saved_tokens" bigint NOT NULL DEFAULT 0,
  "compression_savings_spend" double precision NOT NULL DEFAULT 0,
  "prompt_caching_savings_spend" double precision NOT NULL DEFAULT 0,
  "gateway_injected_caching_savings_spend" double precision NOT NULL DEFAULT 0,
  "autorouter_savings_spend" double precision NOT NULL DEFAULT 0,
  "spend" double precision NOT NULL DEFAULT 0,
  "api_requests" bigint NOT NULL DEFAULT 0,
  "successful_requests" bigint NOT NULL DEFAULT 0,
  "failed_requests" bigint NOT NULL DEFAULT 0,
  "total_response_time_ms" bigint NOT NULL DEFAULT 0,
  "timed_requests" bigint NOT NULL DEFAULT 0,
  "created_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  "updated_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  PRIMARY KEY ("id")
);

CREATE TABLE "LiteLLM_DailyTeamSpend" (
  "id" text NOT NULL,
  "team_id" text,
  "date" text NOT NULL DEFAULT '',
  "api_key" text NOT NULL DEFAULT '',
  "model" text,
  "model_group" text,
  "custom_llm_provider" text,
  "mcp_namespaced_tool_name" text,
  "endpoint" text,
  "prompt_tokens" bigint NOT NULL DEFAULT 0,
  "completion_tokens" bigint NOT NULL DEFAULT 0,
  "cache_read_input_tokens" bigint NOT NULL DEFAULT 0,
  "cache_creation_input_tokens" bigint NOT NULL DEFAULT 0,
  "compression_saved_tokens" bigint NOT NULL DEFAULT 0,
  "compression_savings_spend" double precision NOT NULL DEFAULT 0,
  "prompt_caching_savings_spend" double precision NOT NULL DEFAULT 0,
  "gateway_injected_caching_savings_spend" double precision NOT NULL DEFAULT 0,
  "autorouter_savings_spend" double precision NOT NULL DEFAULT 0,
  "spend" double precision NOT NULL DEFAULT 0,
  "api_requests" bigint NOT NULL DEFAULT 0,
  "successful_requests" bigint NOT NULL DEFAULT 0,
  "failed_requests" bigint NOT NULL DEFAULT 0,
  "total_response_time_ms" bigint NOT NULL DEFAULT 0,
  "timed_requests" bigint NOT NULL DEFAULT 0,
  "ptu_flat_cost" double precision NOT NULL DEFAULT 0,
  "created_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  "updated_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  PRIMARY KEY ("id")
);

CREATE TABLE "LiteLLM_DailyTagSpend" (
  "id" text NOT NULL,
  "request_id" text,
  "tag" text,
  "date" text NOT NULL DEFAULT '',
  "api_key" text NOT NULL DEFAULT '',
  "model" text,
  "model_group" text,
  "custom_llm_provider" text,
  "mcp_namespaced_tool_name" text,
  "endpoint" text,
  "prompt_tokens" bigint NOT NULL DEFAULT 0,
  "completion_tokens" bigint NOT NULL DEFAULT 0,
  "cache_read_input_tokens" bigint NOT NULL DEFAULT 0,
  "cache_creation_input_tokens" bigint NOT NULL DEFAULT 0,
  "compression_saved_tokens" bigint NOT NULL DEFAULT 0,
  "compression_savings_spend" double precision NOT NULL DEFAULT 0,
  "prompt_caching_savings_spend" double precision NOT NULL DEFAULT 0,
  "gateway_injected_caching_savings_spend" double precision NOT NULL DEFAULT 0,
  "autorouter_savings_spend" double precision NOT NULL DEFAULT 0,
  "spend" double precision NOT NULL DEFAULT 0,
  "api_requests" bigint NOT NULL DEFAULT 0,
  "successful_requests" bigint NOT NULL DEFAULT 0,
  "failed_requests" bigint NOT NULL DEFAULT 0,
  "total_response_time_ms" bigint NOT NULL DEFAULT 0,
  "timed_requests" bigint NOT NULL DEFAULT 0,
  "created_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  "updated_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  PRIMARY KEY ("id")
);

CREATE TABLE "LiteLLM_CronJob" (
  "cronjob_id" text NOT NULL,
  "pod_id" text NOT NULL DEFAULT '',
  "last_updated" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  "ttl" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  PRIMARY KEY ("cronjob_id")
);

CREATE TABLE "LiteLLM_HealthCheckTable" (
  "health_check_id" text NOT NULL,
  "model_name" text NOT NULL DEFAULT '',
  "model_id" text,
  "status" text NOT NULL DEFAULT '',
  "healthy_count" integer NOT NULL DEFAULT 0,
  "unhealthy_count" integer NOT NULL DEFAULT 0,
  "error_message" text,
  "response_time_ms" double precision,
  "details" jsonb,
  "checked_by" text,
  "checked_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  "created_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  "updated_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  PRIMARY KEY ("health_check_id")
);

CREATE TABLE "LiteLLM_AgentsTable" (
  "agent_id" text NOT NULL,
  "agent_name" text NOT NULL DEFAULT '',
  "litellm_params" jsonb,
  "agent_card_params" jsonb NOT NULL DEFAULT '{}',
  "static_headers" jsonb,
  "extra_headers" text[] DEFAULT ARRAY[]::text[],
  "kill_switch" jsonb,
  "agent_access_groups" text[] DEFAULT ARRAY[]::text[],
  "access_group_ids" text[] DEFAULT ARRAY[]::text[],
  "object_permission_id" text,
  "spend" double precision NOT NULL DEFAULT 0,
  "identity_managed" boolean NOT NULL DEFAULT false,
  "enabled" boolean NOT NULL DEFAULT false,
  "execution_mode" text NOT NULL DEFAULT '',
  "tpm_limit" integer,
  "rpm_limit" integer,
  "session_tpm_limit" integer,
  "session_rpm_limit" integer,
  "created_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  "created_by" text NOT NULL DEFAULT '',
  "updated_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  "updated_by" text NOT NULL DEFAULT '',
  PRIMARY KEY ("agent_id")
);

CREATE TABLE "LiteLLM_ProjectTable" (
  "project_id" text NOT NULL,
  "project_alias" text,
  "description" text,
  "team_id" text,
  "budget_id" text,
  "metadata" jsonb NOT NULL DEFAULT '{}',
  "models" text[] DEFAULT ARRAY[]::text[],
  "spend" double precision NOT NULL DEFAULT 0,
  "model_spend" jsonb NOT NULL DEFAULT '{}',
  "model_rpm_limit" jsonb NOT NULL DEFAULT '{}',
  "model_tpm_limit" jsonb NOT NULL DEFAULT '{}',
  "blocked" boolean NOT NULL DEFAULT false,
  "object_permission_id" text,
  "created_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  "created_by" text NOT NULL DEFAULT '',
  "updated_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  "updated_by" text NOT NULL DEFAULT '',
  PRIMARY KEY ("project_id")
);

CREATE TABLE "LiteLLM_DeletedTeamTable" (
  "id" text NOT NULL,
  "team_id" text NOT NULL DEFAULT '',
  "team_alias" text,
  "organization_id" text,
  "object_permission_id" text,
  "admins" text[] DEFAULT ARRAY[]::text[],
  "members" text[] DEFAULT ARRAY[]::text[],
  "members_with_roles" jsonb NOT NULL DEFAULT '{}',
  "metadata" jsonb NOT NULL DEFAULT '{}',
  "max_budget" double precision,
  "soft_budget" double precision,
  "spend" double precision NOT NULL DEFAULT 0,
  "models" text[] DEFAULT ARRAY[]::text[],
  "max_parallel_requests" integer,
  "tpm_limit" bigint,
  "rpm_limit" bigint,
  "tpd_limit" bigint,
  "budget_duration" text,
  "budget_reset_at" timestamp(3),
  "blocked" boolean NOT NULL DEFAULT false,
  "model_spend" jsonb NOT NULL DEFAULT '{}',
  "model_max_budget" jsonb NOT NULL DEFAULT '{}',
  "router_settings" jsonb,
  "team_member_permissions" text[] DEFAULT ARRAY[]::text[],
  "access_group_ids" text[] DEFAULT ARRAY[]::text[],
  "policies" text[] DEFAULT ARRAY[]::text[],
  "model_id" integer,
  "allow_team_guardrail_config" boolean NOT NULL DEFAULT false,
  "created_at" timestamp(3),
  "updated_at" timestamp(3),
  "deleted_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  "deleted_by" text,
  "deleted_by_api_key" text,
  "litellm_changed_by" text,
  PRIMARY KEY ("id")
);

CREATE TABLE "LiteLLM_MCPServerTable" (
  "server_id" text NOT NULL,
  "server_name" text,
  "alias" text,
  "description" text,
  "instructions" text,
  "url" text,
  "spec_path" text,
  "transport" text NOT NULL DEFAULT '',
  "auth_type" text,
  "credentials" jsonb,
  "created_at" timestamp(3),
  "created_by" text,
  "updated_at" timestamp(3),
  "updated_by" text,
  "mcp_info" jsonb,
  "mcp_access_groups" text[] DEFAULT ARRAY[]::text[],
  "allowed_tools" text[] DEFAULT ARRAY[]::text[],
  "tool_name_to_display_name" jsonb,
  "tool_name_to_description" jsonb,
  "pinned_tools" jsonb,
  "extra_headers" text[] DEFAULT ARRAY[]::text[],
  "static_headers" jsonb,
  "env_vars" jsonb,
  "status" text,
  "last_health_check" timestamp(3),
  "health_check_error" text,
  "command" text,
  "args" text[] DEFAULT ARRAY[]::text[],
  "env" jsonb,
  "issuer" text,
  "authorization_url" text,
  "token_url" text,
  "registration_url" text,
  "oauth2_flow" text,
  "token_exchange_endpoint" text,
  "audience" text,
  "subject_token_type" text,
  "token_exchange_profile" text,
  "allow_all_keys" boolean NOT NULL DEFAULT false,
  "available_on_public_internet" boolean NOT NULL DEFAULT false,
  "delegate_auth_to_upstream" boolean NOT NULL DEFAULT false,
  "oauth_passthrough" boolean NOT NULL DEFAULT false,
  "dcr_bridge" boolean,
  "per_server_oauth_discovery" boolean NOT NULL DEFAULT false,
  "is_byok" boolean NOT NULL DEFAULT false,
  "byok_description" text[] DEFAULT ARRAY[]::text[],
  "byok_api_key_help_url" text,
  "source_url" text,
  "timeout" double precision,
  "max_concurrent_requests" integer,
  "rpm" integer,
  "approval_status" text,
  "submitted_by" text,
  "submitted_at" timestamp(3),
  "reviewed_at" timestamp(3),
  "review_notes" text,
  PRIMARY KEY ("server_id")
);

CREATE TABLE "LiteLLM_MCPToolsetTable" (
  "toolset_id" text NOT NULL,
  "toolset_name" text NOT NULL DEFAULT '',
  "description" text,
  "tools" jsonb NOT NULL DEFAULT '{}',
  "created_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  "created_by" text,
  "updated_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  "updated_by" text,
  PRIMARY KEY ("toolset_id")
);

CREATE TABLE "LiteLLM_MCPUserCredentials" (
  "id" text NOT NULL,
  "user_id" text NOT NULL DEFAULT '',
  "server_id" text NOT NULL DEFAULT '',
  "credential_b64" text NOT NULL DEFAULT '',
  "created_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  "updated_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  PRIMARY KEY ("id")
);

CREATE TABLE "LiteLLM_JWTKeyMapping" (
  "id" text NOT NULL,
  "jwt_issuer" text NOT NULL DEFAULT '',
  "jwt_claim_name" text NOT NULL DEFAULT '',
  "jwt_claim_value" text NOT NULL DEFAULT '',
  "token" text NOT NULL DEFAULT '',
  "description" text,
  "is_active" boolean NOT NULL DEFAULT false,
  "created_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  "created_by" text,
  "updated_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  "updated_by" text,
  PRIMARY KEY ("id")
);

CREATE TABLE "LiteLLM_DeletedVerificationToken" (
  "id" text NOT NULL,
  "token" text NOT NULL DEFAULT '',
  "key_name" text,
  "key_alias" text,
  "soft_budget_cooldown" boolean NOT NULL DEFAULT false,
  "spend" double precision NOT NULL DEFAULT 0,
  "total_spend" double precision NOT NULL DEFAULT 0,
  "expires" timestamp(3),
  "models" text[] DEFAULT ARRAY[]::text[],
  "aliases" jsonb NOT NULL DEFAULT '{}',
  "config" jsonb NOT NULL DEFAULT '{}',
  "user_id" text,
  "team_id" text,
  "agent_id" text,
  "project_id" text,
  "permissions" jsonb NOT NULL DEFAULT '{}',
  "max_parallel_requests" integer,
  "metadata" jsonb NOT NULL DEFAULT '{}',
  "blocked" boolean,
  "tpm_limit" bigint,
  "rpm_limit" bigint,
  "tpd_limit" bigint,
  "max_budget" double precision,
  "budget_duration" text,
  "budget_reset_at" timestamp(3),
  "allowed_cache_controls" text[] DEFAULT ARRAY[]::text[],
  "allowed_routes" text[] DEFAULT ARRAY[]::text[],
  "key_type" text,
  "policies" text[] DEFAULT ARRAY[]::text[],
  "access_group_ids" text[] DEFAULT ARRAY[]::text[],
  "model_spend" jsonb NOT NULL DEFAULT '{}',
  "model_max_budget" jsonb NOT NULL DEFAULT '{}',
  "budget_fallbacks" jsonb NOT NULL DEFAULT '{}',
  "router_settings" jsonb,
  "budget_id" text,
  "organization_id" text,
  "object_permission_id" text,
  "created_at" timestamp(3),
  "created_by" text,
  "updated_at" timestamp(3),
  "updated_by" text,
  "settings_updated_at" timestamp(3),
  "last_active" timestamp(3),
  "rotation_count" integer,
  "auto_rotate" boolean,
  "rotation_interval" text,
  "last_rotation_at" timestamp(3),
  "key_rotation_at" timestamp(3),
  "deleted_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  "deleted_by" text,
  "deleted_by_api_key" text,
  "litellm_changed_by" text,
  PRIMARY KEY ("id")
);

CREATE TABLE "LiteLLM_ModelAccessGroupBudgetTable" (
  "access_group_name" text NOT NULL,
  "spend" double precision NOT NULL DEFAULT 0,
  "budget_id" text,
  "created_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  "created_by" text,
  "updated_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  "updated_by" text,
  PRIMARY KEY ("access_group_name")
);

CREATE TABLE "LiteLLM_BudgetWindowSpend" (
  "entity_type" text NOT NULL,
  "entity_id" text NOT NULL,
  "window_duration" text NOT NULL,
  "window_start" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  "spend" double precision NOT NULL DEFAULT 0,
  "created_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  "updated_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  PRIMARY KEY ("entity_type", "entity_id", "window_duration")
);

CREATE TABLE "LiteLLM_UserNotifications" (
  "request_id" text NOT NULL,
  "user_id" text NOT NULL DEFAULT '',
  "models" text[] DEFAULT ARRAY[]::text[],
  "justification" text NOT NULL DEFAULT '',
  "status" text NOT NULL DEFAULT '',
  PRIMARY KEY ("request_id")
);

CREATE TABLE "LiteLLM_DailyGlobalSpend" (
  "id" text NOT NULL,
  "date" text NOT NULL DEFAULT '',
  "model" text,
  "model_group" text,
  "custom_llm_provider" text,
  "mcp_namespaced_tool_name" text,
  "endpoint" text,
  "prompt_tokens" bigint NOT NULL DEFAULT 0,
  "completion_tokens" bigint NOT NULL DEFAULT 0,
  "cache_read_input_tokens" bigint NOT NULL DEFAULT 0,
  "cache_creation_input_tokens" bigint NOT NULL DEFAULT 0,
  "compression_saved_tokens" bigint NOT NULL DEFAULT 0,
  "compression_savings_spend" double precision NOT NULL DEFAULT 0,
  "prompt_caching_savings_spend" double precision NOT NULL DEFAULT 0,
  "gateway_injected_caching_savings_spend" double precision NOT NULL DEFAULT 0,
  "autorouter_savings_spend" double precision NOT NULL DEFAULT 0,
  "spend" double precision NOT NULL DEFAULT 0,
  "api_requests" bigint NOT NULL DEFAULT 0,
  "successful_requests" bigint NOT NULL DEFAULT 0,
  "failed_requests" bigint NOT NULL DEFAULT 0,
  "total_response_time_ms" bigint NOT NULL DEFAULT 0,
  "timed_requests" bigint NOT NULL DEFAULT 0,
  "created_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  "updated_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  PRIMARY KEY ("id")
);

CREATE TABLE "LiteLLM_DailyAgentSpend" (
  "id" text NOT NULL,
  "agent_id" text,
  "date" text NOT NULL DEFAULT '',
  "api_key" text NOT NULL DEFAULT '',
  "model" text,
  "model_group" text,
  "custom_llm_provider" text,
  "mcp_namespaced_tool_name" text,
  "endpoint" text,
  "prompt_tokens" bigint NOT NULL DEFAULT 0,
  "completion_tokens" bigint NOT NULL DEFAULT 0,
  "cache_read_input_tokens" bigint NOT NULL DEFAULT 0,
  "cache_creation_input_tokens" bigint NOT NULL DEFAULT 0,
  "compression_saved_tokens" bigint NOT NULL DEFAULT 0,
  "compression_savings_spend" double precision NOT NULL DEFAULT 0,
  "prompt_caching_savings_spend" double precision NOT NULL DEFAULT 0,
  "gateway_injected_caching_savings_spend" double precision NOT NULL DEFAULT 0,
  "autorouter_savings_spend" double precision NOT NULL DEFAULT 0,
  "spend" double precision NOT NULL DEFAULT 0,
  "api_requests" bigint NOT NULL DEFAULT 0,
  "successful_requests" bigint NOT NULL DEFAULT 0,
  "failed_requests" bigint NOT NULL DEFAULT 0,
  "total_response_time_ms" bigint NOT NULL DEFAULT 0,
  "timed_requests" bigint NOT NULL DEFAULT 0,
  "created_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  "updated_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  PRIMARY KEY ("id")
);

CREATE TABLE "LiteLLM_ManagedFileTable" (
  "id" text NOT NULL,
  "unified_file_id" text NOT NULL DEFAULT '',
  "file_object" jsonb,
  "model_mappings" jsonb NOT NULL DEFAULT '{}',
  "flat_model_file_ids" text[] DEFAULT ARRAY[]::text[],
  "storage_backend" text,
  "storage_url" text,
  "created_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  "created_by" text,
  "team_id" text,
  "updated_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  "updated_by" text,
  PRIMARY KEY ("id")
);

CREATE TABLE "LiteLLM_ManagedObjectTable" (
  "id" text NOT NULL,
  "unified_object_id" text NOT NULL DEFAULT '',
  "model_object_id" text NOT NULL DEFAULT '',
  "file_object" jsonb NOT NULL DEFAULT '{}',
  "file_purpose" text NOT NULL DEFAULT '',
  "status" text,
  "batch_processed" boolean NOT NULL DEFAULT false,
  "created_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  "created_by" text,
  "team_id" text,
  "org_id" text,
  "api_key" text,
  "request_tags" jsonb,
  "updated_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  "updated_by" text,
  PRIMARY KEY ("id")
);

CREATE TABLE "LiteLLM_ManagedVectorStoreTable" (
  "id" text NOT NULL,
  "unified_resource_id" text NOT NULL DEFAULT '',
  "resource_object" jsonb,
  "model_mappings" jsonb NOT NULL DEFAULT '{}',
  "flat_model_resource_ids" text[] DEFAULT ARRAY[]::text[],
  "storage_backend" text,
  "storage_url" text,
  "created_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  "created_by" text,
  "team_id" text,
  "updated_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  "updated_by" text,
  PRIMARY KEY ("id")
);

CREATE TABLE "LiteLLM_ManagedVectorStoresTable" (
  "vector_store_id" text NOT NULL,
  "custom_llm_provider" text NOT NULL DEFAULT '',
  "vector_store_name" text,
  "vector_store_description" text,
  "vector_store_metadata" jsonb,
  "created_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  "updated_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  "litellm_credential_name" text,
  "litellm_params" jsonb,
  "team_id" text,
  "user_id" text,
  PRIMARY KEY ("vector_store_id")
);

CREATE TABLE "LiteLLM_GuardrailsTable" (
  "guardrail_id" text NOT NULL,
  "guardrail_name" text NOT NULL DEFAULT '',
  "litellm_params" jsonb NOT NULL DEFAULT '{}',
  "guardrail_info" jsonb,
  "team_id" text,
  "created_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  "updated_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  "status" text NOT NULL DEFAULT '',
  "submitted_at" timestamp(3),
  "reviewed_at" timestamp(3),
  PRIMARY KEY ("guardrail_id")
);

CREATE TABLE "LiteLLM_PromptTable" (
  "id" text NOT NULL,
  "prompt_id" text NOT NULL DEFAULT '',
  "version" integer NOT NULL DEFAULT 0,
  "environment" text NOT NULL DEFAULT '',
  "created_by" text,
  "litellm_params" jsonb NOT NULL DEFAULT '{}',
  "prompt_info" jsonb,
  "created_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  "updated_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  PRIMARY KEY ("id")
);

CREATE TABLE "LiteLLM_SearchToolsTable" (
  "search_tool_id" text NOT NULL,
  "search_tool_name" text NOT NULL DEFAULT '',
  "litellm_params" jsonb NOT NULL DEFAULT '{}',
  "search_tool_info" jsonb,
  "created_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  "updated_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  PRIMARY KEY ("search_tool_id")
);

CREATE TABLE "LiteLLM_SSOConfig" (
  "id" text NOT NULL,
  "sso_settings" jsonb NOT NULL DEFAULT '{}',
  "created_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  "updated_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  PRIMARY KEY ("id")
);

CREATE TABLE "LiteLLM_CacheConfig" (
  "id" text NOT NULL,
  "cache_settings" jsonb NOT NULL DEFAULT '{}',
  "created_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  "updated_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  PRIMARY KEY ("id")
);

CREATE TABLE "LiteLLM_UISettings" (
  "id" text NOT NULL,
  "ui_settings" jsonb NOT NULL DEFAULT '{}',
  "created_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  "updated_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  PRIMARY KEY ("id")
);

CREATE TABLE "LiteLLM_SkillsTable" (
  "skill_id" text NOT NULL,
  "display_title" text,
  "description" text,
  "instructions" text,
  "source" text NOT NULL DEFAULT '',
  "latest_version" text,
  "file_name" text,
  "file_type" text,
  "metadata" jsonb,
  "created_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  "created_by" text,
  "updated_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  "updated_by" text,
  PRIMARY KEY ("skill_id")
);

CREATE TABLE "LiteLLM_ToolTable" (
  "tool_id" text NOT NULL,
  "tool_name" text NOT NULL DEFAULT '',
  "origin" text,
  "input_policy" text NOT NULL DEFAULT '',
  "output_policy" text NOT NULL DEFAULT '',
  "call_count" integer NOT NULL DEFAULT 0,
  "assignments" jsonb,
  "key_hash" text,
  "team_id" text,
  "key_alias" text,
  "user_agent" text,
  "last_used_at" timestamp(3),
  "created_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  "created_by" text,
  "updated_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  "updated_by" text,
  PRIMARY KEY ("tool_id")
);

CREATE TABLE "LiteLLM_AccessGroupTable" (
  "access_group_id" text NOT NULL,
  "access_group_name" text NOT NULL DEFAULT '',
  "description" text,
  "access_model_names" text[] DEFAULT ARRAY[]::text[],
  "access_mcp_server_ids" text[] DEFAULT ARRAY[]::text[],
  "access_agent_ids" text[] DEFAULT ARRAY[]::text[],
  "assigned_team_ids" text[] DEFAULT ARRAY[]::text[],
  "assigned_key_ids" text[] DEFAULT ARRAY[]::text[],
  "created_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  "created_by" text,
  "updated_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  "updated_by" text,
  PRIMARY KEY ("access_group_id")
);
