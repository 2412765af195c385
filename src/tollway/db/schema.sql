-- Made by scripts/generate_schema.py from the migrations; do not edit.

CREATE TABLE access_group_members (
	access_group_id TEXT NOT NULL, 
	member_kind VARCHAR(16) NOT NULL, 
	member_id TEXT NOT NULL, 
	CONSTRAINT pk_access_group_members PRIMARY KEY (access_group_id, member_kind, member_id)
);

CREATE TABLE access_groups (
	access_group_id TEXT NOT NULL, 
	name TEXT NOT NULL, 
	description TEXT, 
	models JSON NOT NULL, 
	mcp_server_ids JSON NOT NULL, 
	agent_ids JSON NOT NULL, 
	created_at DATETIME NOT NULL, 
	created_by TEXT, 
	updated_at DATETIME NOT NULL, 
	updated_by TEXT, 
	CONSTRAINT pk_access_groups PRIMARY KEY (access_group_id)
);

CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);

CREATE TABLE audit_log (
	id TEXT NOT NULL, 
	changed_at DATETIME NOT NULL, 
	changed_by TEXT, 
	changed_by_key TEXT, 
	action VARCHAR(16) NOT NULL, 
	resource VARCHAR(64) NOT NULL, 
	object_id TEXT NOT NULL, 
	"before" JSON, 
	"after" JSON, 
	client_ip TEXT, 
	user_agent TEXT, 
	CONSTRAINT pk_audit_log PRIMARY KEY (id)
);

CREATE TABLE budgets (
	budget_id TEXT NOT NULL, 
	rpm_limit BIGINT, 
	tpm_limit BIGINT, 
	parallel_limit BIGINT, 
	max_budget_nanos BIGINT, 
	soft_budget_nanos BIGINT, 
	budget_duration VARCHAR(32), 
	tpd_limit BIGINT, 
	model_max_budget JSON NOT NULL, 
	allowed_models JSON NOT NULL, 
	temp_budget_increase_nanos BIGINT, 
	temp_budget_expiry DATETIME, 
	created_at DATETIME NOT NULL, 
	created_by TEXT, 
	updated_at DATETIME NOT NULL, 
	updated_by TEXT, 
	CONSTRAINT pk_budgets PRIMARY KEY (budget_id)
);

CREATE TABLE cached_answers (
	digest BLOB NOT NULL, 
	expires_at BIGINT NOT NULL, 
	size INTEGER NOT NULL, 
	content BLOB NOT NULL, 
	CONSTRAINT pk_cached_answers PRIMARY KEY (digest)
);

CREATE TABLE changes (
	number INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	kind VARCHAR(32) NOT NULL, 
	object_id TEXT NOT NULL, 
	told_by VARCHAR(32) NOT NULL, 
	changed_at BIGINT NOT NULL
);

CREATE TABLE credentials (
	credential_name TEXT NOT NULL, 
	display_name TEXT, 
	info JSON NOT NULL, 
	credential_values JSON NOT NULL, 
	created_at DATETIME NOT NULL, 
	created_by TEXT, 
	updated_at DATETIME NOT NULL, 
	updated_by TEXT, 
	CONSTRAINT pk_credentials PRIMARY KEY (credential_name)
);

CREATE TABLE customers (
	customer_id TEXT NOT NULL, 
	alias TEXT, 
	is_blocked BOOLEAN DEFAULT 0 NOT NULL, 
	allowed_model_region VARCHAR(8), 
	default_model TEXT, 
	models JSON NOT NULL, 
	budget_id TEXT, 
	options JSON NOT NULL, 
	created_at DATETIME NOT NULL, 
	created_by TEXT, 
	updated_at DATETIME NOT NULL, 
	updated_by TEXT, 
	CONSTRAINT pk_customers PRIMARY KEY (customer_id)
);

CREATE TABLE daily_totals (
	dimension TEXT NOT NULL, 
	day TEXT NOT NULL, 
	entity TEXT NOT NULL, 
	user_id TEXT NOT NULL, 
	team_id TEXT NOT NULL, 
	organization_id TEXT NOT NULL, 
	project_id TEXT NOT NULL, 
	spend_nanos BIGINT NOT NULL, 
	calls BIGINT NOT NULL, 
	failures BIGINT NOT NULL, 
	rate_limited BIGINT NOT NULL, 
	input_tokens BIGINT NOT NULL, 
	cache_read_tokens BIGINT NOT NULL, 
	cache_write_tokens BIGINT NOT NULL, 
	cache_write_1h_tokens BIGINT NOT NULL, 
	output_tokens BIGINT NOT NULL, 
	response_ms BIGINT NOT NULL, 
	timed_calls BIGINT NOT NULL, 
	CONSTRAINT pk_daily_totals PRIMARY KEY (dimension, day, entity, user_id, team_id, organization_id, project_id)
)
 WITHOUT ROWID

;

CREATE TABLE daily_usage (
	dimension TEXT NOT NULL, 
	entity TEXT NOT NULL, 
	day TEXT NOT NULL, 
	user_id TEXT NOT NULL, 
	team_id TEXT NOT NULL, 
	organization_id TEXT NOT NULL, 
	project_id TEXT NOT NULL, 
	model_group TEXT NOT NULL, 
	model TEXT NOT NULL, 
	provider TEXT NOT NULL, 
	call_type TEXT NOT NULL, 
	spend_nanos BIGINT NOT NULL, 
	calls BIGINT NOT NULL, 
	failures BIGINT NOT NULL, 
	rate_limited BIGINT NOT NULL, 
	input_tokens BIGINT NOT NULL, 
	cache_read_tokens BIGINT NOT NULL, 
	cache_write_tokens BIGINT NOT NULL, 
	cache_write_1h_tokens BIGINT NOT NULL, 
	output_tokens BIGINT NOT NULL, 
	response_ms BIGINT NOT NULL, 
	timed_calls BIGINT NOT NULL, 
	CONSTRAINT pk_daily_usage PRIMARY KEY (dimension, entity, day, user_id, team_id, organization_id, project_id, model_group, model, provider, call_type)
)
 WITHOUT ROWID

;

CREATE TABLE deleted_keys (
	id INTEGER NOT NULL, 
	key_hash VARCHAR(64) NOT NULL, 
	spend_id VARCHAR(64) NOT NULL, 
	key_name VARCHAR(32), 
	key_alias TEXT, 
	key_type VARCHAR(32), 
	user_id TEXT, 
	team_id TEXT, 
	organization_id TEXT, 
	project_id TEXT, 
	agent_id TEXT, 
	budget_id TEXT, 
	expires_at DATETIME, 
	is_blocked BOOLEAN, 
	models JSON NOT NULL, 
	aliases JSON NOT NULL, 
	allowed_routes JSON NOT NULL, 
	permissions JSON NOT NULL, 
	rpm_limit BIGINT, 
	tpm_limit BIGINT, 
	parallel_limit BIGINT, 
	max_budget_nanos BIGINT, 
	soft_budget_nanos BIGINT, 
	budget_duration VARCHAR(32), 
	metadata JSON NOT NULL, 
	options JSON NOT NULL, 
	auto_rotate BOOLEAN DEFAULT 0 NOT NULL, 
	rotation_interval VARCHAR(32), 
	rotation_count INTEGER DEFAULT '0' NOT NULL, 
	last_rotated_at DATETIME, 
	created_at DATETIME NOT NULL, 
	created_by TEXT, 
	updated_at DATETIME NOT NULL, 
	updated_by TEXT, 
	settings_updated_at DATETIME, 
	deleted_at DATETIME NOT NULL, 
	deleted_by TEXT, 
	deleted_by_key VARCHAR(64), 
	changed_by TEXT, 
	CONSTRAINT pk_deleted_keys PRIMARY KEY (id)
);

CREATE TABLE deleted_teams (
	id INTEGER NOT NULL, 
	team_id TEXT NOT NULL, 
	team_alias TEXT, 
	organization_id TEXT, 
	models JSON NOT NULL, 
	model_aliases JSON NOT NULL, 
	is_blocked BOOLEAN DEFAULT 0 NOT NULL, 
	rpm_limit BIGINT, 
	tpm_limit BIGINT, 
	parallel_limit BIGINT, 
	max_budget_nanos BIGINT, 
	soft_budget_nanos BIGINT, 
	budget_duration VARCHAR(32), 
	member_permissions JSON NOT NULL, 
	member_budget_id TEXT, 
	metadata JSON NOT NULL, 
	options JSON NOT NULL, 
	created_at DATETIME NOT NULL, 
	created_by TEXT, 
	updated_at DATETIME NOT NULL, 
	updated_by TEXT, 
	deleted_at DATETIME NOT NULL, 
	deleted_by TEXT, 
	CONSTRAINT pk_deleted_teams PRIMARY KEY (id)
);

CREATE TABLE health_checks (
	health_check_id TEXT NOT NULL, 
	model_id TEXT NOT NULL, 
	model_name TEXT NOT NULL, 
	is_healthy BOOLEAN NOT NULL, 
	status_code INTEGER NOT NULL, 
	error_class TEXT NOT NULL, 
	error_message TEXT NOT NULL, 
	response_ms DOUBLE NOT NULL, 
	checked_by TEXT NOT NULL, 
	checked_at BIGINT NOT NULL, 
	CONSTRAINT pk_health_checks PRIMARY KEY (health_check_id)
);

CREATE TABLE invitations (
	id TEXT NOT NULL, 
	user_id TEXT NOT NULL, 
	is_accepted BOOLEAN NOT NULL, 
	accepted_at DATETIME, 
	expires_at DATETIME NOT NULL, 
	created_at DATETIME NOT NULL, 
	created_by TEXT, 
	updated_at DATETIME NOT NULL, 
	updated_by TEXT, 
	CONSTRAINT pk_invitations PRIMARY KEY (id)
);

CREATE TABLE ledger (
	started_at BIGINT NOT NULL, 
	record_id TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	ended_at BIGINT NOT NULL, 
	first_token_at BIGINT NOT NULL, 
	call_id TEXT NOT NULL, 
	response_id TEXT NOT NULL, 
	call_type TEXT NOT NULL, 
	route TEXT NOT NULL, 
	is_success BOOLEAN NOT NULL, 
	is_stream BOOLEAN NOT NULL, 
	key_hash TEXT NOT NULL, 
	key_alias TEXT NOT NULL, 
	user_id TEXT NOT NULL, 
	team_id TEXT NOT NULL, 
	organization_id TEXT NOT NULL, 
	end_user TEXT NOT NULL, 
	model TEXT NOT NULL, 
	model_group TEXT NOT NULL, 
	model_id TEXT NOT NULL, 
	provider TEXT NOT NULL, 
	api_base TEXT NOT NULL, 
	input_tokens BIGINT NOT NULL, 
	cache_read_tokens BIGINT NOT NULL, 
	cache_write_tokens BIGINT NOT NULL, 
	cache_write_1h_tokens BIGINT NOT NULL, 
	input_audio_tokens BIGINT NOT NULL, 
	output_tokens BIGINT NOT NULL, 
	reasoning_tokens BIGINT NOT NULL, 
	output_audio_tokens BIGINT NOT NULL, 
	is_estimated BOOLEAN NOT NULL, 
	cost_nanos BIGINT NOT NULL, 
	is_priced BOOLEAN NOT NULL, 
	session_id TEXT NOT NULL, 
	trace_id TEXT NOT NULL, 
	client_ip TEXT NOT NULL, 
	user_agent TEXT NOT NULL, 
	status_code INTEGER NOT NULL, 
	error_type TEXT NOT NULL, 
	error_class TEXT NOT NULL, 
	error_message TEXT NOT NULL, 
	overhead_us BIGINT NOT NULL, 
	tags JSON NOT NULL, 
	charges JSON NOT NULL, 
	metadata TEXT NOT NULL, project_id TEXT DEFAULT '' NOT NULL, cache_key TEXT DEFAULT '' NOT NULL, is_cached BOOLEAN DEFAULT false NOT NULL, saved_nanos BIGINT DEFAULT 0 NOT NULL, attempts TEXT DEFAULT '' NOT NULL, 
	CONSTRAINT pk_ledger PRIMARY KEY (started_at, record_id)
);

CREATE TABLE ledger_horizon (
	only_row INTEGER NOT NULL, 
	dropped_before BIGINT NOT NULL, 
	CONSTRAINT pk_ledger_horizon PRIMARY KEY (only_row)
);

CREATE TABLE model_access_group_budgets (
	name TEXT NOT NULL, 
	budget_id TEXT NOT NULL, 
	created_at DATETIME NOT NULL, 
	created_by TEXT, 
	updated_at DATETIME NOT NULL, 
	updated_by TEXT, 
	CONSTRAINT pk_model_access_group_budgets PRIMARY KEY (name)
);

CREATE TABLE models (
	model_id TEXT NOT NULL, 
	model_name TEXT NOT NULL, 
	params JSON NOT NULL, 
	info JSON NOT NULL, 
	team_id TEXT, 
	is_blocked BOOLEAN DEFAULT 0 NOT NULL, 
	created_at DATETIME NOT NULL, 
	created_by TEXT, 
	updated_at DATETIME NOT NULL, 
	updated_by TEXT, 
	CONSTRAINT pk_models PRIMARY KEY (model_id)
);

CREATE TABLE organization_members (
	organization_id TEXT NOT NULL, 
	user_id TEXT NOT NULL, 
	role VARCHAR(32) NOT NULL, 
	budget_id TEXT, 
	created_at DATETIME NOT NULL, 
	updated_at DATETIME NOT NULL, 
	CONSTRAINT pk_organization_members PRIMARY KEY (organization_id, user_id)
);

CREATE TABLE organizations (
	organization_id TEXT NOT NULL, 
	organization_alias TEXT, 
	budget_id TEXT, 
	models JSON NOT NULL, 
	metadata JSON NOT NULL, 
	options JSON NOT NULL, 
	created_at DATETIME NOT NULL, 
	created_by TEXT, 
	updated_at DATETIME NOT NULL, 
	updated_by TEXT, 
	CONSTRAINT pk_organizations PRIMARY KEY (organization_id)
);

CREATE TABLE projects (
	project_id TEXT NOT NULL, 
	project_alias TEXT, 
	description TEXT, 
	team_id TEXT, 
	budget_id TEXT, 
	models JSON NOT NULL, 
	is_blocked BOOLEAN DEFAULT 0 NOT NULL, 
	metadata JSON NOT NULL, 
	options JSON NOT NULL, 
	created_at DATETIME NOT NULL, 
	created_by TEXT, 
	updated_at DATETIME NOT NULL, 
	updated_by TEXT, 
	CONSTRAINT pk_projects PRIMARY KEY (project_id)
);

CREATE TABLE retired_key_hashes (
	key_hash VARCHAR(64) NOT NULL, 
	spend_id VARCHAR(64) NOT NULL, 
	retired_at DATETIME NOT NULL, 
	works_until DATETIME NOT NULL, successor TEXT, 
	CONSTRAINT pk_retired_key_hashes PRIMARY KEY (key_hash)
);

CREATE TABLE session_totals (
	spend_id TEXT NOT NULL, 
	session_id TEXT NOT NULL, 
	key_hash TEXT NOT NULL, 
	key_alias TEXT NOT NULL, 
	user_id TEXT NOT NULL, 
	team_id TEXT NOT NULL, 
	organization_id TEXT NOT NULL, 
	spend_nanos BIGINT NOT NULL, 
	calls BIGINT NOT NULL, 
	failures BIGINT NOT NULL, 
	first_seen_at BIGINT NOT NULL, 
	last_seen_at BIGINT NOT NULL, 
	CONSTRAINT pk_session_totals PRIMARY KEY (spend_id, session_id)
);

CREATE TABLE settings (
	section TEXT NOT NULL, 
	name TEXT NOT NULL, 
	value JSON NOT NULL, 
	created_at DATETIME NOT NULL, 
	created_by TEXT, 
	updated_at DATETIME NOT NULL, 
	updated_by TEXT, 
	CONSTRAINT pk_settings PRIMARY KEY (section, name)
);

CREATE TABLE similar_answers (
	"key" TEXT NOT NULL, 
	bucket TEXT NOT NULL, 
	vector BLOB, 
	answer BLOB NOT NULL, 
	created_at BIGINT NOT NULL, 
	expires_at BIGINT NOT NULL, 
	CONSTRAINT pk_similar_answers PRIMARY KEY ("key")
);

CREATE TABLE spend_windows (
	scope_kind TEXT NOT NULL, 
	scope_id TEXT NOT NULL, 
	window_start BIGINT NOT NULL, 
	spend_nanos BIGINT NOT NULL, 
	records BIGINT NOT NULL, 
	CONSTRAINT pk_spend_windows PRIMARY KEY (scope_kind, scope_id, window_start)
)
 WITHOUT ROWID

;

CREATE TABLE stopped_sessions (
	spend_id TEXT NOT NULL, 
	session_id TEXT NOT NULL, 
	stopped_at DATETIME NOT NULL, 
	stopped_by TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	CONSTRAINT pk_stopped_sessions PRIMARY KEY (spend_id, session_id)
);

CREATE TABLE stored_responses (
	id TEXT NOT NULL, 
	owner TEXT NOT NULL, 
	previous TEXT NOT NULL, 
	deployment_id TEXT NOT NULL, 
	upstream_id TEXT NOT NULL, 
	status TEXT NOT NULL, 
	created_at BIGINT NOT NULL, 
	expires_at BIGINT NOT NULL, 
	content BLOB NOT NULL, 
	CONSTRAINT pk_stored_responses PRIMARY KEY (id)
);

CREATE TABLE tags (
	name TEXT NOT NULL, 
	description TEXT, 
	models JSON NOT NULL, 
	budget_id TEXT, 
	created_at DATETIME NOT NULL, 
	created_by TEXT, 
	updated_at DATETIME NOT NULL, 
	updated_by TEXT, 
	CONSTRAINT pk_tags PRIMARY KEY (name)
);

CREATE TABLE team_members (
	team_id TEXT NOT NULL, 
	user_id TEXT NOT NULL, 
	role VARCHAR(16) NOT NULL, 
	budget_id TEXT, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_team_members PRIMARY KEY (team_id, user_id)
);

CREATE TABLE teams (
	team_id TEXT NOT NULL, 
	team_alias TEXT, 
	organization_id TEXT, 
	models JSON NOT NULL, 
	model_aliases JSON NOT NULL, 
	is_blocked BOOLEAN DEFAULT 0 NOT NULL, 
	rpm_limit BIGINT, 
	tpm_limit BIGINT, 
	parallel_limit BIGINT, 
	max_budget_nanos BIGINT, 
	soft_budget_nanos BIGINT, 
	budget_duration VARCHAR(32), 
	member_permissions JSON NOT NULL, 
	member_budget_id TEXT, 
	metadata JSON NOT NULL, 
	options JSON NOT NULL, 
	created_at DATETIME NOT NULL, 
	created_by TEXT, 
	updated_at DATETIME NOT NULL, 
	updated_by TEXT, 
	CONSTRAINT pk_teams PRIMARY KEY (team_id)
);

CREATE TABLE users (
	user_id TEXT NOT NULL, 
	user_alias TEXT, 
	user_email TEXT, 
	email_key TEXT, 
	user_role VARCHAR(32), 
	sso_user_id TEXT, 
	password_hash TEXT, 
	models JSON NOT NULL, 
	rpm_limit BIGINT, 
	tpm_limit BIGINT, 
	parallel_limit BIGINT, 
	max_budget_nanos BIGINT, 
	soft_budget_nanos BIGINT, 
	budget_duration VARCHAR(32), 
	metadata JSON NOT NULL, 
	options JSON NOT NULL, 
	created_at DATETIME NOT NULL, 
	created_by TEXT, 
	updated_at DATETIME NOT NULL, 
	updated_by TEXT, 
	CONSTRAINT pk_users PRIMARY KEY (user_id)
);

CREATE TABLE virtual_keys (
	key_hash VARCHAR(64) NOT NULL, 
	spend_id VARCHAR(64) NOT NULL, 
	key_name VARCHAR(32), 
	key_alias TEXT, 
	key_type VARCHAR(32), 
	user_id TEXT, 
	team_id TEXT, 
	organization_id TEXT, 
	project_id TEXT, 
	agent_id TEXT, 
	budget_id TEXT, 
	expires_at DATETIME, 
	is_blocked BOOLEAN, 
	models JSON NOT NULL, 
	aliases JSON NOT NULL, 
	allowed_routes JSON NOT NULL, 
	permissions JSON NOT NULL, 
	rpm_limit BIGINT, 
	tpm_limit BIGINT, 
	parallel_limit BIGINT, 
	max_budget_nanos BIGINT, 
	soft_budget_nanos BIGINT, 
	budget_duration VARCHAR(32), 
	metadata JSON NOT NULL, 
	options JSON NOT NULL, 
	auto_rotate BOOLEAN DEFAULT 0 NOT NULL, 
	rotation_interval VARCHAR(32), 
	rotation_count INTEGER DEFAULT '0' NOT NULL, 
	last_rotated_at DATETIME, 
	created_at DATETIME NOT NULL, 
	created_by TEXT, 
	updated_at DATETIME NOT NULL, 
	updated_by TEXT, 
	settings_updated_at DATETIME, rotates_at DATETIME, 
	CONSTRAINT pk_virtual_keys PRIMARY KEY (key_hash)
);

CREATE INDEX ix_access_group_members_member_kind_member_id ON access_group_members (member_kind, member_id);

CREATE UNIQUE INDEX ix_access_groups_name ON access_groups (name);

CREATE INDEX ix_audit_log_changed_at_id ON audit_log (changed_at, id);

CREATE INDEX ix_audit_log_object_id_changed_at ON audit_log (object_id, changed_at);

CREATE INDEX ix_cached_answers_expires_at_size ON cached_answers (expires_at, size);

CREATE INDEX ix_changes_changed_at ON changes (changed_at);

CREATE INDEX ix_deleted_keys_deleted_at ON deleted_keys (deleted_at);

CREATE INDEX ix_deleted_keys_key_hash ON deleted_keys (key_hash);

CREATE INDEX ix_deleted_teams_team_id ON deleted_teams (team_id);

CREATE INDEX ix_health_checks_checked_at ON health_checks (checked_at);

CREATE INDEX ix_health_checks_model_id_checked_at ON health_checks (model_id, checked_at);

CREATE INDEX ix_invitations_user_id ON invitations (user_id);

CREATE INDEX ix_ledger_adjustments ON ledger (kind, started_at) WHERE kind = 'adjustment';

CREATE INDEX ix_ledger_call_id ON ledger (call_id) WHERE call_id <> record_id;

CREATE INDEX ix_ledger_end_user_started_at ON ledger (end_user, started_at) WHERE end_user <> '';

CREATE INDEX ix_ledger_failures ON ledger (is_success, started_at) WHERE NOT is_success;

CREATE INDEX ix_ledger_key_hash_started_at ON ledger (key_hash, started_at);

CREATE INDEX ix_ledger_organization_id_started_at ON ledger (organization_id, started_at) WHERE organization_id <> '';

CREATE INDEX ix_ledger_response_id ON ledger (response_id);

CREATE INDEX ix_ledger_session_id_started_at ON ledger (session_id, started_at) WHERE session_id <> '';

CREATE INDEX ix_ledger_team_id_started_at ON ledger (team_id, started_at) WHERE team_id <> '';

CREATE INDEX ix_ledger_user_id_started_at ON ledger (user_id, started_at) WHERE user_id <> '';

CREATE INDEX ix_models_model_name ON models (model_name);

CREATE INDEX ix_models_team_id ON models (team_id);

CREATE INDEX ix_organization_members_user_id ON organization_members (user_id);

CREATE INDEX ix_organizations_organization_alias ON organizations (organization_alias);

CREATE INDEX ix_projects_team_id ON projects (team_id);

CREATE INDEX ix_retired_key_hashes_spend_id ON retired_key_hashes (spend_id);

CREATE INDEX ix_retired_key_hashes_works_until ON retired_key_hashes (works_until) WHERE successor IS NOT NULL;

CREATE INDEX ix_session_totals_last_seen_at ON session_totals (last_seen_at);

CREATE INDEX ix_session_totals_organization_id_last_seen_at ON session_totals (organization_id, last_seen_at) WHERE organization_id <> '';

CREATE INDEX ix_session_totals_session_id ON session_totals (session_id);

CREATE INDEX ix_session_totals_team_id_last_seen_at ON session_totals (team_id, last_seen_at) WHERE team_id <> '';

CREATE INDEX ix_session_totals_user_id_last_seen_at ON session_totals (user_id, last_seen_at) WHERE user_id <> '';

CREATE INDEX ix_similar_answers_bucket_created_at ON similar_answers (bucket, created_at);

CREATE INDEX ix_similar_answers_expires_at ON similar_answers (expires_at);

CREATE INDEX ix_stored_responses_expires_at ON stored_responses (expires_at);

CREATE INDEX ix_team_members_user_id ON team_members (user_id);

CREATE INDEX ix_teams_created_at_team_id ON teams (created_at, team_id);

CREATE INDEX ix_teams_organization_id ON teams (organization_id);

CREATE INDEX ix_teams_team_alias ON teams (team_alias);

CREATE INDEX ix_users_created_at_user_id ON users (created_at, user_id);

CREATE UNIQUE INDEX ix_users_email_key ON users (email_key);

CREATE UNIQUE INDEX ix_users_sso_user_id ON users (sso_user_id);

CREATE INDEX ix_virtual_keys_created_at_key_hash ON virtual_keys (created_at, key_hash);

CREATE UNIQUE INDEX ix_virtual_keys_key_alias ON virtual_keys (key_alias);

CREATE INDEX ix_virtual_keys_organization_id ON virtual_keys (organization_id);

CREATE INDEX ix_virtual_keys_rotates_at ON virtual_keys (rotates_at) WHERE rotates_at IS NOT NULL;

CREATE UNIQUE INDEX ix_virtual_keys_spend_id ON virtual_keys (spend_id);

CREATE INDEX ix_virtual_keys_team_id ON virtual_keys (team_id);

CREATE INDEX ix_virtual_keys_user_id ON virtual_keys (user_id);

INSERT INTO alembic_version (version_num) VALUES ('0014');
