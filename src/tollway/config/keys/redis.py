"""The Redis or Valkey that replicas share: where it may be named, and what may be said about it."""

# ruff: noqa: E501  (a table: one row, one line)
from __future__ import annotations

from tollway.config.keys.key import Key, accepted, later, own, section, supported
from tollway.config.kinds import (
    ANY,
    COUNT,
    FLAG,
    MAPPING,
    MEBIBYTES,
    NODES,
    PORT,
    POSITIVE,
    SECONDS,
    SECRET,
    SHARE,
    TEXT,
    TEXTS,
    URL,
    VERIFICATION,
    choice,
)  # fmt: skip

SHARED_REDIS: tuple[Key, ...] = (
    supported("redis_url", URL, "T1", "Redis or Valkey that replicas share: `redis://…`, `rediss://…` or `unix:///path`.", flag="--redis-url", environment=("REDIS_URL",)),
    supported("redis_host", TEXT, "T1", "Its host, where no URL is given.", environment=("REDIS_HOST",)),
    supported("redis_port", PORT, "T1", "Its port.", default=6379, environment=("REDIS_PORT",)),
    supported("redis_password", SECRET, "T1", "Its password.", environment=("REDIS_PASSWORD",)),
    supported("redis_db", COUNT, "T1", "Number of its database.", default=0, environment=("REDIS_DB",)),
    own("redis_username", TEXT, "User name there.", environment=("REDIS_USERNAME",)),
    own("redis_ssl", FLAG, "Connect with TLS.", default=False, environment=("REDIS_SSL",)),
    own("redis_cluster_nodes", NODES, "Some nodes of a cluster, instead of a host.", environment=("REDIS_CLUSTER_NODES",)),
    own("redis_sentinel_nodes", NODES, "The sentinels that know the server, instead of a host.", environment=("REDIS_SENTINEL_NODES",)),
    own("redis_service_name", TEXT, "What the sentinels call it.", environment=("REDIS_SERVICE_NAME",)),
    own("redis_sentinel_password", SECRET, "Password of the sentinels.", environment=("REDIS_SENTINEL_PASSWORD",)),
)  # fmt: skip
"""Rows of `router_settings`."""

_SERVER = (
    supported("url", URL, "T1", "`redis://user:password@host:6379/0`, `rediss://…` (TLS) or `unix:///path`."),
    supported("host", TEXT, "T1", "Host, where no URL is given."),
    supported("port", PORT, "T1", "Port.", default=6379),
    supported("username", TEXT, "T1", "User name."),
    supported("password", SECRET, "T1", "Password."),
    supported("db", COUNT, "T1", "Number of the database.", default=0),
    supported("ssl", FLAG, "T1", "Connect with TLS.", default=False),
    supported("ssl_ca_certs", TEXT, "T2", "CA bundle (PEM) that its certificate is checked with."),
    supported("ssl_cert_reqs", choice("required", "none"), "T2", "Whether its certificate is checked.", default="required"),
    supported("redis_startup_nodes", NODES, "T2", "Some nodes of a cluster, instead of a host: `[{host: h, port: 7001}]` or `h:7001,…`."),
    supported("sentinel_nodes", NODES, "T2", "The sentinels, instead of a host: `[[h, 26379]]` or `h:26379,…`."),
    supported("service_name", TEXT, "T2", "What the sentinels call the server."),
    supported("sentinel_password", SECRET, "T2", "Password of the sentinels."),
    own("sentinel_username", TEXT, "User name at the sentinels."),
    supported("namespace", TEXT, "T1", "Put before every key."),
    supported("socket_connect_timeout", SECONDS, "T2", "Seconds a connection may take.", default=0.5),
    supported("socket_timeout", SECONDS, "T2", "Seconds a command may take; then Redis counts as away.", default=1),
    supported("max_connections", POSITIVE, "T2", "Connections of one process at most.", default=16),
    later("gcp_service_account", TEXT, "T2", "Sign in as a Google service account.", remedy="give a password"),
    later("aws_iam_*", ANY, "T2", "Sign in with AWS.", remedy="give a password"),
)  # fmt: skip

COORDINATION_REDIS = section("general_settings.coordination_redis", _SERVER)

_NO_SEMANTIC_SERVER = "use `type: pgvector-semantic` to share answers"
_NO_BUCKET = "use `type: s3`, or `database`"
_CALL_TYPES = "`completion`, `text_completion`, `embedding`, `responses`, `anthropic_messages`, `generate_content`"

CACHE_PARAMS = section(
    "litellm_settings.cache_params",
    (
        supported("type", choice("local", "redis", "disk", "database", "s3", "local-semantic", "pgvector-semantic", "redis-semantic", "valkey-semantic", "qdrant-semantic", "gcs", "azure-blob"), "T1", "Where answers are kept: `local` in memory, `redis` (also for what replicas share, where nothing else names a server), `disk`, `database` (Tollway's own), `s3` (a bucket); answers to questions in other words too: `local-semantic` in memory, `pgvector-semantic` in Tollway's own Postgres. Without any parameters: Redis, where one is known.", default="local", supported_values=frozenset({"local", "redis", "disk", "database", "s3", "local-semantic", "pgvector-semantic", "redis-semantic", "valkey-semantic", "qdrant-semantic"}), remedy="answers are kept in memory"),
        *_SERVER,
        supported("supported_call_types", TEXTS, "T1", f"Calls whose answers are kept: {_CALL_TYPES}; an `a` before each is ignored. Empty: none, Redis is shared only."),
        supported("ttl", SECONDS, "T1", "How long answers are kept, unless the call says.", default=86_400),
        supported("default_in_memory_ttl", SECONDS, "T1", "The same for all but `redis`, where `ttl` says nothing."),
        supported("default_in_redis_ttl", SECONDS, "T1", "The same for `redis`, where `ttl` says nothing."),
        supported("mode", choice("default_on", "default_off"), "T1", "`default_off`: only calls with `cache: {use-cache: true}`.", default="default_on"),
        supported("max_messages", COUNT, "T1", "Longer conversations are neither looked for nor kept; null: no limit.", default=4),
        own("scope", choice("global", "team", "key", "end_user"), "Who shares answers: everybody, the keys of a team, the calls of a key, or those for one end user. For a semantic `type`: `key`, unless it says otherwise.", default="global"),
        own("single_flight", FLAG, "Calls that are alike wait for the first of them, and share its answer.", default=False),
        own("timeout", SECONDS, "Longest wait for the Redis, database or bucket of the cache; then it is left alone for a while. For a bucket, 0.5.", default=0.05),
        own("max_size_mb", MEBIBYTES, "Answers kept in memory, on disk, or in the database.", default=64),
        own("max_answer_size_mb", MEBIBYTES, "Longer answers are not kept.", default=1),
        supported("disk_cache_dir", TEXT, "T3", "Folder for `type: disk`; else `cache` in the data folder."),
        supported("similarity_threshold", SHARE, "T2", "The least cosine of questions that get the same answer, for a semantic `type`.", default=0.9),
        own("semantic_cache_embedding_model", TEXT, "The model of this gateway that makes vectors of questions, for a semantic `type`.", default="text-embedding-ada-002"),
        *(supported(f"{server}_semantic_cache_embedding_model", TEXT, "T2", "The same as `semantic_cache_embedding_model`.") for server in ("redis", "valkey", "qdrant")),
        own("semantic_cache_timeout", SECONDS, "Longest wait of a call for its vector and for what is near; then its provider is asked.", default=1),
        supported("semantic_cache_scope", choice("key", "end_user", "team", "global"), "T2", "Who shares answers of a semantic `type`: a key's calls, those for one end user, the keys of a team, or everybody. The same as `scope`.", default="key"),
        later("redis_semantic_*", ANY, "T2", "Semantic cache.", remedy=_NO_SEMANTIC_SERVER),
        later("valkey_semantic_*", ANY, "T2", "Semantic cache.", remedy=_NO_SEMANTIC_SERVER),
        later("qdrant_*", ANY, "T2", "Semantic cache.", remedy=_NO_SEMANTIC_SERVER),
        supported("s3_bucket_name", TEXT, "T3", "Bucket for `type: s3`."),
        supported("s3_region_name", TEXT, "T3", "Its region; else `AWS_REGION`, or us-east-1."),
        supported("s3_endpoint_url", TEXT, "T3", "Address of a storage that speaks S3, where it is not Amazon's."),
        supported("s3_path", TEXT, "T3", "Folder of the bucket."),
        supported("s3_use_ssl", FLAG, "T3", "Connect with TLS, where the address does not say.", default=True),
        supported("s3_verify", VERIFICATION, "T3", "Whether its certificate is checked, or the CA bundle to check it with.", default=True),
        supported("s3_aws_access_key_id", SECRET, "T3", "Who may use it; else as for Bedrock: environment, profile, or the machine's role."),
        supported("s3_aws_secret_access_key", SECRET, "T3", "The secret of that key."),
        supported("s3_aws_session_token", SECRET, "T3", "Its token, if it lasts for a while only."),
        accepted("s3_api_version", TEXT, "T3", "There is one."),
        later("s3_*", ANY, "T3", "More about the bucket.", remedy="remove it: what a client needs to know is in the keys above"),
        later("gcs_*", ANY, "T3", "Cache in a bucket.", remedy=_NO_BUCKET),
        later("azure_*", ANY, "T3", "Cache in a bucket.", remedy=_NO_BUCKET),
        accepted("redis_flush_size", COUNT, "T3", "Writes gathered before they are sent; Tollway sends each in the background."),
        later("params", MAPPING, "T3", "More of these.", remedy="write them one level up"),
    ),
)  # fmt: skip
