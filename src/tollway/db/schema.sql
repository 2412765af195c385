-- Made by scripts/generate_schema.py from the migrations; do not edit.

CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);

CREATE TABLE daily_spend (
	day TEXT NOT NULL, 
	key_hash TEXT NOT NULL, 
	model_group TEXT NOT NULL, 
	model TEXT NOT NULL, 
	provider TEXT NOT NULL, 
	user_id TEXT NOT NULL, 
	team_id TEXT NOT NULL, 
	end_user TEXT NOT NULL, 
	spend_nanos BIGINT NOT NULL, 
	calls BIGINT NOT NULL, 
	failures BIGINT NOT NULL, 
	input_tokens BIGINT NOT NULL, 
	cache_read_tokens BIGINT NOT NULL, 
	cache_write_tokens BIGINT NOT NULL, 
	cache_write_1h_tokens BIGINT NOT NULL, 
	input_audio_tokens BIGINT NOT NULL, 
	output_tokens BIGINT NOT NULL, 
	reasoning_tokens BIGINT NOT NULL, 
	output_audio_tokens BIGINT NOT NULL, 
	CONSTRAINT pk_daily_spend PRIMARY KEY (day, key_hash, model_group, model, provider, user_id, team_id, end_user)
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
	metadata TEXT NOT NULL, 
	CONSTRAINT pk_ledger PRIMARY KEY (started_at, record_id)
);

CREATE TABLE retired_key_hashes (
	key_hash VARCHAR(64) NOT NULL, 
	spend_id VARCHAR(64) NOT NULL, 
	retired_at DATETIME NOT NULL, 
	works_until DATETIME NOT NULL, 
	CONSTRAINT pk_retired_key_hashes PRIMARY KEY (key_hash)
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
	settings_updated_at DATETIME, 
	CONSTRAINT pk_virtual_keys PRIMARY KEY (key_hash)
);

CREATE INDEX ix_daily_spend_key_hash_day ON daily_spend (key_hash, day);

CREATE INDEX ix_deleted_keys_deleted_at ON deleted_keys (deleted_at);

CREATE INDEX ix_deleted_keys_key_hash ON deleted_keys (key_hash);

CREATE INDEX ix_ledger_call_id ON ledger (call_id) WHERE call_id <> record_id;

CREATE INDEX ix_ledger_key_hash_started_at ON ledger (key_hash, started_at);

CREATE INDEX ix_ledger_response_id ON ledger (response_id);

CREATE INDEX ix_ledger_user_id_started_at ON ledger (user_id, started_at) WHERE user_id <> '';

CREATE INDEX ix_retired_key_hashes_spend_id ON retired_key_hashes (spend_id);

CREATE INDEX ix_virtual_keys_created_at_key_hash ON virtual_keys (created_at, key_hash);

CREATE UNIQUE INDEX ix_virtual_keys_key_alias ON virtual_keys (key_alias);

CREATE INDEX ix_virtual_keys_organization_id ON virtual_keys (organization_id);

CREATE UNIQUE INDEX ix_virtual_keys_spend_id ON virtual_keys (spend_id);

CREATE INDEX ix_virtual_keys_team_id ON virtual_keys (team_id);

CREATE INDEX ix_virtual_keys_user_id ON virtual_keys (user_id);

INSERT INTO alembic_version (version_num) VALUES ('0001');
