"""`general_settings`: the server. Tollway's own settings live here too."""

# ruff: noqa: E501  (a table: one row, one line)
from __future__ import annotations

from tollway.config.keys.key import accepted, later, own, section, supported
from tollway.config.kinds import (
    ANY,
    COUNT,
    DAYS,
    DURATION,
    FLAG,
    LENIENT_FLAG,
    LIST,
    MAPPING,
    MEBIBYTES,
    MONEY,
    NETWORKS,
    PERIOD,
    PORT,
    POSITIVE,
    SECONDS,
    SECONDS_OR_NONE,
    SECRET,
    SECRETS,
    TEXT,
    TEXTS,
    URL,
    choice,
)  # fmt: skip
from tollway.core.money import NANOS_PER_DOLLAR
from tollway.secret_managers import KINDS

_MIB = 1024 * 1024

_LISTENING = (
    own("host", TEXT, "Address to listen on.", default="0.0.0.0", sets="server.host", flag="--host", environment=("HOST",)),  # noqa: S104  (a gateway is there to be reached)
    own("port", PORT, "Port to listen on; 0 takes a free one.", default=4000, sets="server.port", flag="--port", environment=("PORT",)),
    own("workers", POSITIVE, "Worker processes. Several share budgets and limits through the shared Redis, or through a Valkey that is started with them (`pip install 'tollway[workers]'`).", default=1, sets="server.workers", flag="--workers", environment=("NUM_WORKERS",)),
    own("ssl_keyfile_path", TEXT, "Private key for HTTPS (PEM).", sets="server.ssl_keyfile", flag="--ssl_keyfile_path", environment=("SSL_KEYFILE_PATH",)),
    own("ssl_certfile_path", TEXT, "Certificate chain for HTTPS (PEM).", sets="server.ssl_certfile", flag="--ssl_certfile_path", environment=("SSL_CERTFILE_PATH",)),
    own("keepalive_timeout", SECONDS, "Seconds an idle client connection is kept.", default=75, sets="server.keepalive_s", flag="--keepalive_timeout", environment=("KEEPALIVE_TIMEOUT",)),
    own("graceful_shutdown_timeout", SECONDS_OR_NONE, "Seconds that running calls get to finish after SIGTERM.", default=30, sets="server.drain_grace_s", environment=("GRACEFUL_SHUTDOWN_TIMEOUT",)),
    own("server_root_path", TEXT, "Path prefix under which everything is served.", default="", sets="server.root_path", environment=("SERVER_ROOT_PATH",)),
    own("cors_origins", TEXTS, "Browser origins that may call; `*` allows any.", default=["*"], sets="data_plane.cors_origins", environment=("LITELLM_CORS_ORIGINS",)),
)  # fmt: skip

_LOGGING = (
    own("log_level", choice("debug", "info", "warning", "error", "critical"), "Least severe message that is logged.", default="info", sets="server.log_level", environment=("LITELLM_LOG",)),
    own("log_format", choice("text", "json"), "One line of text, or one JSON object, per event.", default="text", sets="server.log_format", flag="--log-format"),
    own("debug", LENIENT_FLAG, "Short for `log_level: debug`.", flag="--debug", environment=("DEBUG",)),
    own("detailed_debug", LENIENT_FLAG, "Short for `log_level: debug`.", flag="--detailed_debug", environment=("DETAILED_DEBUG",)),
)  # fmt: skip

_STATE = (
    supported("master_key", SECRET, "T1", "The administrator's key. Generated, stored and shown once where none is given; with Postgres it must be.", sets="server.master_key", environment=("LITELLM_MASTER_KEY",)),
    own("salt_key", SECRET, "Encrypts stored credentials. Generated and stored where none is given; with Postgres it must be.", sets="server.salt_key", environment=("LITELLM_SALT_KEY",)),
    supported("dangerously_permit_weak_or_unset_master_key", FLAG, "T1", "Silences the warning about a well-known master key. A key is needed all the same.", default=False, sets="server.allow_weak_master_key", environment=("LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY",)),
    supported("database_url", URL, "T1", "Where keys and the ledger live: `postgresql://…` or `sqlite:///…`; an SQLite file in `data_dir` where none is given.", sets="server.database_url", flag="--database-url", environment=("DATABASE_URL",)),
    supported("database_connection_pool_limit", POSITIVE, "T1", "Connections to Postgres at most.", default=10, sets="pool.size"),
    supported("database_connection_timeout", SECONDS, "T1", "Seconds to wait for a connection that other requests hold.", default=5, sets="pool.wait_s"),
    supported("database_connect_timeout", SECONDS, "T3", "Seconds a new connection to Postgres may take.", default=3, sets="pool.connect_timeout_s"),
    supported("database_socket_timeout", SECONDS, "T3", "Seconds Postgres has for one transaction; then it counts as away.", default=10, sets="pool.answer_timeout_s"),
    own("database_look_up_timeout", SECONDS, "Seconds Postgres has to say who a caller is; then the call gets 503, or what was known of the key.", default=2, sets="pool.look_up_s"),
    supported("database_max_idle_connection_lifetime", SECONDS, "T3", "Seconds after which an unused connection is replaced.", default=60, sets="pool.max_idle_s"),
    supported("database_disable_prepared_statements", FLAG, "T3", "For poolers such as PgBouncer that hand each transaction another connection.", default=False, sets="pool.without_prepared_statements"),
    later("database_connection_pool_timeout", SECONDS, "T3", "Wait for a pooled connection.", remedy="set `database_connection_timeout`"),
    later("database_extra_connection_params", MAPPING, "T3", "More parameters of the database URL.", remedy="write them in `database_url`"),
    supported("coordination_redis", MAPPING, "T2", "The Redis or Valkey that replicas share; it wins over `router_settings.redis_*`, `cache_params` and REDIS_* variables.", default={}),
    own("replicas", POSITIVE, "Gateway processes that share the limits, at least. While the shared Redis is away each of them goes by this part of every limit.", default=2, sets="server.replicas"),
    own("shared_counters_timeout", SECONDS, "Seconds in which the shared Redis has to answer a call that reserves its limits; then it counts as away.", default=0.04, sets="server.counters_timeout_s"),
    own("data_dir", TEXT, "Folder for the database, the journal and generated keys.", default="~/.local/share/tollway", sets="server.data_dir", flag="--data-dir"),
    supported("store_model_in_db", FLAG, "T1", "Whether models added through the API are kept.", default=True, sets="server.stores_models", environment=("STORE_MODEL_IN_DB",)),
    own("journal_fsync", FLAG, "Survive power loss, not only a killed process, at the price of a disk flush per batch of calls.", default=False, sets="server.journal_fsync"),
    own("key_rotation_enabled", FLAG, "Give keys with `auto_rotate` a new value when their `rotation_interval` is over.", default=True, sets="server.rotates_keys", environment=("LITELLM_KEY_ROTATION_ENABLED",)),
    own("key_rotation_check_interval_seconds", SECONDS, "Seconds between two looks for keys that are due.", default=60, sets="server.rotation_check_s", environment=("LITELLM_KEY_ROTATION_CHECK_INTERVAL_SECONDS",)),
    own("key_rotation_grace_period", DURATION, "How long the old value of a rotated key goes on working. Unset: 24h when it was rotated by itself, not at all when it was regenerated by hand.", sets="server.rotation_grace", environment=("LITELLM_KEY_ROTATION_GRACE_PERIOD",)),
    own("key_grace_s", SECONDS_OR_NONE, "Seconds a key in use keeps working while the database is away.", default=3600, sets="data_plane.key_grace_s"),
)  # fmt: skip

_CALLS = (
    own("output_reservation_tokens", POSITIVE, "Output tokens reserved for a call that names no maximum, unless the model's own limit is lower.", default=4096, sets="data_plane.output_reservation_tokens"),
    own("output_reservation_strict", FLAG, "Reserve the model's whole output limit instead.", default=False, sets="data_plane.is_output_reservation_strict"),
    own("budget_wait_s", SECONDS_OR_NONE, "Seconds a call waits that only other calls' reservations keep out.", default=2, sets="data_plane.budget_wait_s"),
    own("max_iterations", COUNT, "Calls in one session (`litellm_session_id`), of each key but the master key; 0: any number. Keys and teams can have less.", default=0, sets="data_plane.session_max_calls"),
    own("max_repeated_calls", COUNT, "How often in a row a session may send one and the same request; 0: any number. Keys and teams can have less.", default=0, sets="data_plane.session_max_repeats"),
    own("max_budget_per_session", MONEY, "What one session may cost; 0: no limit. Keys and teams can have less.", default=0, sets="data_plane.session_budget_nanos", factor=NANOS_PER_DOLLAR),
    supported("max_request_size_mb", MEBIBYTES, "T1", "Largest request body.", default=100, sets="data_plane.max_request_bytes", factor=_MIB),
    supported("max_response_size_mb", MEBIBYTES, "T1", "Largest answer of a provider.", default=256, sets="data_plane.max_response_bytes", factor=_MIB),
    supported("always_include_stream_usage", FLAG, "T2", "Give every stream a usage chunk, asked for or not.", default=False, sets="data_plane.always_include_stream_usage"),
    supported("completion_model", TEXT, "T2", "Model for bodies that name none.", sets="data_plane.default_model"),
    supported("litellm_key_header_name", TEXT, "T1", "Header that carries the key, instead of the usual ones.", sets="data_plane.key_header"),
    supported("user_header_name", TEXT, "T1", "Header that names the end user.", sets="data_plane.user_header"),
    supported("allowed_routes", TEXTS, "T2", "The only paths that are served; empty: all.", default=[], sets="data_plane.allowed_routes"),
    supported("user_api_key_cache_ttl", SECONDS, "T1", "Seconds a looked-up key is remembered.", default=60, sets="data_plane.key_cache_ttl_s"),
    supported("user_api_key_cache_max_size", POSITIVE, "T1", "Keys remembered at most.", default=100_000, sets="data_plane.key_cache_size"),
    later("store_prompts_in_spend_logs", FLAG, "T1", "Keep prompts and answers with the ledger."),
)  # fmt: skip

_RESPONSES = (
    own("store_responses", FLAG, "Keep answers of the Responses API, sealed, whose provider keeps none, so that `previous_response_id` works with every model. Calls with `store: false` are never kept.", default=True, sets="data_plane.stores_responses"),
    own("stored_responses_retention_period", DAYS, "How long such an answer is kept.", default="30d", sets="data_plane.responses_kept"),
    supported("disable_responses_id_security", FLAG, "T3", "Let every caller use every response whose id they know, not only their own.", default=False, sets="data_plane.shares_responses"),
    supported("allow_unmanaged_response_ids", FLAG, "T3", "Hand ids of responses that the gateway did not give out to the provider as they are.", default=False, sets="data_plane.allows_foreign_responses"),
)  # fmt: skip

_WITHOUT_NEED = (
    accepted("proxy_batch_write_at", SECONDS, "T1", "Pace of ledger writes; Tollway writes as calls settle.", default=10),
    accepted("proxy_budget_rescheduler_min_time", SECONDS, "T1", "Pace of budget resets; Tollway's windows need no job."),
    accepted("proxy_budget_rescheduler_max_time", SECONDS, "T1", "Pace of budget resets; Tollway's windows need no job."),
    accepted("scheduled_job_stagger", ANY, "T3", "Spread of periodic jobs."),
    accepted("cancel_on_disconnect", FLAG, "T2", "Stop the provider when the client leaves; Tollway always does."),
    accepted("ui_access_mode", TEXT, "T2", "Who may use the console.", default="all"),
)  # fmt: skip

_METERING = (
    later("disable_spend_logs", FLAG, "T1", "Keep no record per call.", remedy="every settled call is recorded"),
    later("disable_error_logs", FLAG, "T1", "Keep no record of failed calls.", remedy="failed calls are recorded"),
    later("disable_spend_updates", FLAG, "T1", "Do not add up spend.", remedy="spend is always metered"),
    later("disable_reset_budget", FLAG, "T1", "Let budgets never reset.", remedy="leave `budget_duration` out of the key"),
    supported("maximum_spend_logs_retention_period", DAYS, "T2", "How long ledger records are kept, in whole UTC days; for good where it is not set. Sums of spend are kept all the same.", sets="server.records_kept"),
    supported("maximum_spend_logs_retention_interval", PERIOD, "T2", "Time between two looks for records whose time is over, a day at most.", default="1d", sets="server.retention_interval"),
    supported("maximum_spend_logs_cleanup_batch_size", POSITIVE, "T2", "Records deleted in one transaction, where a month is not dropped as a whole.", default=1000, sets="server.retention_batch_size"),
    later("maximum_spend_logs_cleanup_cron", TEXT, "T2", "When records are cleared away.", remedy="set `maximum_spend_logs_retention_interval`"),
    supported("maximum_health_check_retention_period", DURATION, "T2", "How long results of probes are kept.", default="7d", sets="data_plane.probes_kept"),
    later("use_redis_transaction_buffer", FLAG, "T2", "Gather spend in Redis before the database.", remedy="the journal does this"),
    later("spend_capture_rate_check", ANY, "T3", "Watch for calls that were not metered."),
    later("fail_closed_rate_limit_enforcement", FLAG, "T2", "Refuse calls when rate limits cannot be checked.", remedy="in one process they always can"),
    later("fail_closed_budget_enforcement", FLAG, "T2", "Refuse calls when budgets cannot be checked.", remedy="in one process they always can"),
    later("disable_budget_reservation", FLAG, "T2", "Check budgets without reserving.", remedy="budgets are always reserved"),
    later("apply_user_budget_to_team_keys", FLAG, "T2", "Count a team's keys in the budget of their user as well."),
    later("allow_requests_on_db_unavailable", FLAG, "T1", "Serve while the database is away.", remedy="`key_grace_s` says how long known keys keep working"),
    later("token_rate_limit_type", choice("total", "input", "output"), "T2", "Which tokens count in tpm limits.", remedy="all tokens count"),
)  # fmt: skip

_ALERT_TYPES = frozenset({"llm_exceptions", "budget_alerts", "cooldown_deployment", "db_exceptions"})

_ALERTING = (
    own("allow_private_callback_addresses", FLAG, "Keys and teams may have their calls reported to addresses of this machine and of private networks.", default=False, sets="data_plane.allows_private_callbacks"),
    supported("alerting", TEXTS, "T1", "Where alerts go: `slack` (SLACK_WEBHOOK_URL), `webhook` (WEBHOOK_URL).", default=[], supported_values=frozenset({"slack", "webhook"}), remedy="there are slack, webhook"),
    later("alerting_threshold", SECONDS, "T1", "Slowness that raises an alert.", default=300),
    supported("alert_types", TEXTS, "T1", "Which alerts are sent; all of them where nothing is said.", default=[], supported_values=_ALERT_TYPES, remedy=f"there are {', '.join(sorted(_ALERT_TYPES))}"),
    supported("alert_to_webhook_url", SECRETS, "T1", "Addresses of Slack for some sorts of alerts: one, or a list.", default={}),
    supported("alerting_args", MAPPING, "T1", "Details: `budget_alert_ttl`, the seconds between two alerts about one budget.", default={}),
    later("spend_report_frequency", DURATION, "T1", "How often a spend report is sent."),
)  # fmt: skip

_WHO = (
    later("custom_auth", TEXT, "T1", "Python function that authenticates callers.", remedy="virtual keys are checked"),
    later("custom_auth_run_common_checks", FLAG, "T1", "Check budgets after custom authentication too."),
    later("custom_key_generate", TEXT, "T2", "Python function that may refuse a new key."),
    later("custom_key_update", TEXT, "T2", "Python function that may refuse a change of a key."),
    later("custom_key_policy", TEXT, "T2", "Python function with rules for keys."),
    later("custom_sso", TEXT, "T2", "Python function that reads a single sign-on answer."),
    later("custom_ui_sso_sign_in_handler", TEXT, "T2", "Python class that signs in to the console."),
    later("enable_jwt_auth", FLAG, "T2", "Accept signed tokens of an identity provider."),
    later("litellm_jwtauth", MAPPING, "T2", "How the claims of a token are read."),
    later("enable_oauth2_auth", FLAG, "T2", "Accept tokens that an OAuth2 server vouches for."),
    later("enable_oauth2_proxy_auth", FLAG, "T2", "Trust the headers of a signing-in proxy."),
    later("oauth2_config_mappings", MAPPING, "T2", "Which header says what."),
    later("role_permissions", LIST, "T2", "Models and routes of each role."),
    later("enforce_rbac", FLAG, "T2", "Refuse callers without a role."),
    later("user_header_mappings", LIST, "T2", "Headers that name users, with the role each gives.", remedy="`user_header_name` names one"),
    later("public_routes", TEXTS, "T2", "Paths that need no key."),
    later("admin_only_routes", TEXTS, "T2", "Paths for administrators alone."),
    supported("allowed_ips", NETWORKS, "T2", "Addresses and ranges (`10.0.0.0/8`) of clients that are served; health pages are for all.", sets="data_plane.allowed_addresses"),
    supported("use_x_forwarded_for", FLAG, "T2", "The client is whom the proxy in front names in `X-Forwarded-For`.", default=False, sets="data_plane.believes_proxies"),
    supported("trusted_proxy_ranges", NETWORKS, "T2", "Proxies that are believed, as addresses and ranges; those of private networks where none are named.", default=[], sets="data_plane.trusted_proxies"),
    later("block_robots", FLAG, "T2", "Tell crawlers to stay away."),
    later("enforce_user_param", FLAG, "T2", "Refuse calls that name no end user."),
    later("enforced_params", TEXTS, "T2", "Body fields every call must have."),
    later("reject_clientside_metadata_tags", FLAG, "T2", "Refuse tags that a client sets."),
    later("service_account_settings", MAPPING, "T2", "Rules for keys without a user."),
    supported("disable_auto_add_proxy_admin_to_teams", FLAG, "T2", "Do not make administrators members of new teams.", default=False),
    later("default_team_disabled", FLAG, "T2", "New users get no team."),
    later("disable_env_credential_login", FLAG, "T2", "No console login by the environment's password."),
    later("disable_password_login_when_sso_enabled", FLAG, "T2", "Single sign-on only."),
    later("password_policy_*", ANY, "T2", "What a password must be like."),
    later("max_failed_login_attempts_*", ANY, "T2", "When logging in is stopped for a while."),
    supported("key_management_system", choice("aws_secret_manager", "hashicorp_vault", "google_secret_manager", "azure_key_vault", "cyberark", "aws_kms", "google_kms", "custom", "local"), "T2", "Secret manager that `os.environ/NAME` is looked up in before the environment.", supported_values=frozenset(KINDS), remedy=f"use one of {', '.join(KINDS)}"),
    supported("key_management_settings", MAPPING, "T2", "More about the secret manager.", default={}),
    own("secret_refresh_interval", PERIOD, "How often secrets of the manager and of files are read again.", default="5m"),
    later("use_google_kms", FLAG, "T2", "Decrypt credentials with Google's service."),
    later("use_azure_key_vault", FLAG, "T2", "Read credentials from Azure's vault."),
    later("disable_master_key_return", FLAG, "T2", "Never show the master key in the console."),
    later("disable_custom_api_keys", FLAG, "T2", "Keys are always generated."),
    later("disable_key_generate_for_org_admin", FLAG, "T2", "Organization administrators make no keys."),
    supported("enforce_fallback_model_access", FLAG, "T2", "Fallbacks of the operator need permission as well.", default=False, sets="data_plane.checks_fallbacks"),
)  # fmt: skip

_LOAD = (
    later("max_parallel_requests", COUNT, "T1", "Parallel calls of a key that sets no limit.", remedy="set `litellm_settings.default_key_generate_params.max_parallel_requests`"),
    supported("global_max_parallel_requests", POSITIVE, "T1", "Calls at once of all keys together, on all gateways; the master key's do not count.", sets="data_plane.max_parallel"),
    later("max_file_size_mb", MEBIBYTES, "T2", "Largest uploaded file."),
    later("max_batch_file_size_mb", MEBIBYTES, "T2", "Largest batch file."),
    later("allowed_file_extensions", TEXTS, "T2", "File names that may be uploaded."),
    own("max_memory_mb", MEBIBYTES, "Memory of one process beyond which calls are refused until it has less. Unless given: nine tenths of what the container may have, divided by the workers; without such a limit none.", sets="server.max_memory_bytes", factor=_MIB),
    supported("max_in_flight_requests_per_worker", COUNT, "T3", "Calls that one process serves at once; others wait in line, by `priority` and in turns by key. 0: no limit.", default=0, sets="data_plane.max_calls_at_once"),
    supported("max_queued_requests_per_worker", COUNT, "T3", "Calls that may wait in that line; more are told to come back.", default=1000, sets="data_plane.max_calls_waiting"),
    supported("admission_queue_timeout_seconds", SECONDS, "T3", "How long they wait.", default=1.0, sets="data_plane.longest_wait_s"),
    later("supported_db_objects", TEXTS, "T1", "What is read from the database."),
    later("proxy_config_reload_interval_seconds", SECONDS, "T1", "Pace of looking for changes in the database.", default=30),
    later("pass_through_endpoints", LIST, "T1", "Paths that are forwarded as they are."),
    later("pass_through_request_timeout", SECONDS, "T1", "Longest forwarded call.", default=600),
    supported("background_health_checks", FLAG, "T1", "Probe every deployment now and then; `/health` then shows what these probes found.", default=False, sets="data_plane.probes_in_background"),
    supported("health_check_interval", SECONDS, "T1", "Seconds between two probes of a deployment.", default=300, sets="data_plane.probe_interval_s"),
    supported("health_check_details", FLAG, "T1", "Show in `/health` why a probe failed; otherwise only which deployment it is.", default=True, sets="data_plane.shows_probe_details"),
    supported("health_check_concurrency", POSITIVE, "T2", "Probes at once.", default=10, sets="data_plane.probes_at_once"),
    supported("use_shared_health_check", FLAG, "T2", "Of all gateways on one database, one probes for the others; otherwise each by itself. Workers of one gateway share their probes always.", default=False, sets="data_plane.shares_probes"),
    supported("enable_health_check_routing", FLAG, "T2", "The same as in `router_settings`, which wins.", repeats="router_settings.enable_health_check_routing"),
    supported("health_check_staleness_threshold", SECONDS, "T2", "The same as in `router_settings`, which wins.", repeats="router_settings.health_check_staleness_threshold"),
    later("model_list_healthy_only", FLAG, "T2", "List only models whose probe passed."),
    later("allow_client_side_credentials", FLAG, "T1", "Let clients bring a provider key or address."),
    later("forward_client_headers_to_llm_api", FLAG, "T1", "Send the client's `x-` headers to the provider.", remedy="set `extra_headers` on the deployment"),
    later("forward_llm_provider_auth_headers", FLAG, "T2", "Send the client's provider credentials on."),
    later("forward_openai_org_id", FLAG, "T2", "Send the client's organization on.", remedy="set `organization` on the deployment"),
    later("infer_model_from_keys", FLAG, "T2", "Add models for provider keys found.", remedy="leave `model_list` out to have this"),
    later("missing_session_id", ANY, "T2", "What to do with calls outside a session."),
    later("expose_fallback_errors_to_caller", FLAG, "T2", "Show the errors that led to a fallback."),
    later("include_call_id_in_error_body", FLAG, "T2", "Put the call id into errors.", remedy="the header `x-litellm-call-id` carries it"),
    later("dangerously_allow_mock_testing_request_params", FLAG, "T2", "Let clients provoke failures.", remedy="the `demo` model can be told to fail"),
    later("enable_drain_endpoint", FLAG, "T3", "A path that starts draining.", remedy="SIGTERM drains"),
    later("drain_endpoint_token", SECRET, "T3", "Credential of that path."),
    later("allow_public_health_readiness_details", FLAG, "T3", "Tell everybody what is not ready."),
    later("enable_mcp_registry", FLAG, "T3", "Publish the tool servers."),
    later("mcp_*", ANY, "T3", "Tool servers."),
    later("plugins", ANY, "T3", "Console plug-ins."),
    later("search_tools", ANY, "T3", "Web search services."),
    later("vector_store_deny_by_default", FLAG, "T3", "Vector stores need permission."),
    later("search_tool_deny_by_default", FLAG, "T3", "Search tools need permission."),
    supported("team_metadata_schema", LIST, "T3", "What forms ask for as a team's metadata: entries with `key` and `label`.", default=[]),
    later("control_plane_url", TEXT, "T3", "Where management is served."),
    later("otel", ANY, "T3", "Tracing."),
    later("tracing", ANY, "T3", "Tracing."),
    later("transcribe_media_buckets", ANY, "T3", "Buckets that hold audio."),
    later("claude_code_gateway_managed_settings", ANY, "T3", "Settings handed to a coding client."),
)  # fmt: skip

GENERAL = section(
    "general_settings",
    (*_LISTENING, *_LOGGING, *_STATE, *_CALLS, *_RESPONSES, *_WITHOUT_NEED, *_METERING, *_ALERTING, *_WHO, *_LOAD),
)

KEY_MANAGEMENT = section(
    "general_settings.key_management_settings",
    (
        supported("access_mode", choice("read_only", "write_only", "read_and_write"), "T2", "`write_only`: nothing is read from it.", default="read_only"),
        supported("hosted_keys", TEXTS, "T2", "What it holds: exactly these are asked for, whether a file refers to them or not. Else what files refer to."),
        supported("primary_secret_name", TEXT, "T2", "AWS: one secret, a JSON object, that all are members of."),
        supported("aws_region_name", TEXT, "T2", "AWS: the region; else AWS_REGION."),
        supported("aws_role_name", TEXT, "T2", "AWS: ARN of a role to take."),
        supported("aws_session_name", TEXT, "T2", "AWS: name of the session of that role."),
        supported("aws_external_id", TEXT, "T2", "AWS: external id that the role wants."),
        supported("aws_profile_name", TEXT, "T2", "AWS: profile of the configuration files."),
        supported("aws_web_identity_token", TEXT, "T2", "AWS: path of a token to take the role with."),
        supported("aws_sts_endpoint", TEXT, "T2", "AWS: address of the token service."),
        later("store_virtual_keys", FLAG, "T2", "Write virtual keys to it.", remedy="only hashes of keys are kept"),
        later("prefix_for_stored_virtual_keys", TEXT, "T2", "Put before the names of virtual keys in it."),
        later("description", TEXT, "T3", "Of secrets that are written."),
        later("tags", ANY, "T3", "Of secrets that are written."),
        later("custom_secret_manager", TEXT, "T3", "Python class that is a secret manager."),
    ),
)  # fmt: skip
