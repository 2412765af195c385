"""`cache` and `cache_params`: where answers are kept, and which."""

from __future__ import annotations

from pathlib import Path

import pytest

from tollway.config.configuration import AnswerStorage, Configuration
from tollway.config.load import load
from tollway.config.problem import ConfigurationError
from tollway.core.bucket import Bucket
from tollway.core.caching import CacheScope, Caching, Likeness
from tollway.core.redis import RedisNode

KEYS = {"LITELLM_MASTER_KEY": "sk-of-the-tests-0123", "LITELLM_SALT_KEY": "sk-salt-of-the-tests"}


def read(folder: Path, text: str, **environ: str) -> Configuration:
    file = folder / "config.yaml"
    file.write_text(text)
    return load(file, environ={"HOME": "/home/x", **KEYS, **environ})


def storage(folder: Path, text: str, **environ: str) -> AnswerStorage:
    answers = read(folder, text, **environ).answers
    assert answers is not None
    return answers


def test_nothing_is_kept_unless_somebody_says_so(tmp_path: Path) -> None:
    for text in (
        "",
        "litellm_settings: {cache: false, cache_params: {type: local}}",
        "litellm_settings: {cache: true, cache_params: {type: redis, host: h, supported_call_types: []}}",
    ):
        configuration = read(tmp_path, text)
        assert (configuration.answers, configuration.caching) == (None, None)


def test_a_word_is_enough(tmp_path: Path) -> None:
    configuration = read(tmp_path, "litellm_settings: {cache: true}")
    assert configuration.answers is not None
    assert configuration.answers.kind == "local"
    assert configuration.caching == Caching(
        operations=frozenset({"chat", "completions", "embeddings", "responses", "messages", "gemini"})
    )


def test_the_redis_that_is_known_is_used_where_nobody_says_otherwise(tmp_path: Path) -> None:
    shared = storage(tmp_path, "litellm_settings: {cache: true}", REDIS_URL="redis://shared:1")
    assert shared.kind == "redis"
    assert shared.redis is not None
    assert shared.redis.nodes == (RedisNode("shared", 1),)
    local = storage(tmp_path, "litellm_settings: {cache: true, cache_params: {type: local}}", REDIS_URL="redis://h")
    assert (local.kind, local.redis) == ("local", None)


def test_the_cache_may_have_a_server_of_its_own(tmp_path: Path) -> None:
    text = "litellm_settings: {cache: true, cache_params: {type: redis, host: own, port: 2, password: p}}"
    own = storage(tmp_path, text, REDIS_URL="redis://shared:1")
    assert own.redis is not None
    assert own.redis.nodes == (RedisNode("own", 2),)
    assert "'p'" not in repr(own)


def test_everything_that_can_be_said(tmp_path: Path) -> None:
    text = """
litellm_settings:
  cache: true
  cache_params:
    type: disk
    disk_cache_dir: /var/cache/x
    ttl: 60
    supported_call_types: [completion, acompletion, aembedding, transcription]
    mode: default_off
    max_messages: null
    namespace: ours
    scope: team
    single_flight: true
    max_size_mb: 2
    max_answer_size_mb: 0.5
router_settings:
  caching_groups: [[a, b]]
"""
    configuration = read(tmp_path, text)
    assert configuration.answers == AnswerStorage(
        kind="disk", redis=None, timeout_s=0.05, max_bytes=2 << 20, folder=Path("/var/cache/x")
    )
    assert configuration.caching == Caching(
        operations=frozenset({"chat", "embeddings"}),
        is_on_by_default=False,
        ttl_s=60,
        max_messages=None,
        namespace="ours",
        scope="team",
        groups=(frozenset({"a", "b"}),),
        is_single_flight=True,
        max_answer_bytes=1 << 19,
    )


def test_each_place_has_a_lifetime_of_its_own(tmp_path: Path) -> None:
    params = "{type: local, default_in_memory_ttl: 7, default_in_redis_ttl: 9}"
    caching = read(tmp_path, f"litellm_settings: {{cache: true, cache_params: {params}}}").caching
    assert caching is not None
    assert caching.ttl_s == 7


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ("{supported_call_types: [completions]}", "completions is no kind of call; did you mean `completion`?"),
        ("{type: floppy}", "expected local, redis, disk"),
        ("{scope: everybody}", "expected global, team, key or end_user"),
        ("{type: s3}", "s3_bucket_name: is missing"),
        ("{type: s3, s3_bucket_name: b, s3_aws_access_key_id: k}", "s3_aws_secret_access_key: is missing"),
        ("{type: s3, s3_bucket_name: b, s3_aws_secret_access_key: k}", "s3_aws_access_key_id: is missing"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, params: str, expected: str) -> None:
    with pytest.raises(ConfigurationError, match="cache_params") as got:
        read(tmp_path, f"litellm_settings: {{cache: true, cache_params: {params}}}")
    assert expected in str(got.value)


def test_kinds_of_a_later_release_keep_answers_in_memory_and_say_so(tmp_path: Path) -> None:
    configuration = read(tmp_path, "litellm_settings: {cache: true, cache_params: {type: gcs, gcs_bucket_name: b}}")
    assert configuration.answers is not None
    assert configuration.answers.kind == "local"
    assert "gcs_bucket_name: has no effect in this release" in configuration.warnings


def test_answers_may_be_kept_in_the_database(tmp_path: Path) -> None:
    params = "{type: database, default_in_memory_ttl: 7, default_in_redis_ttl: 9}"
    configuration = read(tmp_path, f"litellm_settings: {{cache: true, cache_params: {params}}}", REDIS_URL="redis://h")
    assert configuration.caching is not None
    assert configuration.caching.ttl_s == 7
    folder = Path("/home/x/.local/share/tollway/cache")
    assert configuration.answers == AnswerStorage(
        kind="database", redis=None, timeout_s=0.05, max_bytes=64 << 20, folder=folder
    )


def test_answers_may_be_kept_in_a_bucket(tmp_path: Path) -> None:
    text = """
litellm_settings:
  cache: true
  cache_params:
    type: s3
    s3_bucket_name: b
    s3_region_name: eu-west-3
    s3_endpoint_url: https://minio:9000
    s3_path: ours
    s3_use_ssl: false
    s3_verify: /ca.pem
    s3_aws_access_key_id: AKID
    s3_aws_secret_access_key: os.environ/SECRET
    s3_aws_session_token: token
    s3_api_version: "2006-03-01"
    s3_config: {retries: 3}
"""
    configuration = read(tmp_path, text, SECRET="of the bucket")
    assert configuration.answers is not None
    assert configuration.answers.bucket == Bucket(
        name="b",
        region="eu-west-3",
        endpoint_url="https://minio:9000",
        path="ours",
        is_tls=False,
        verify="/ca.pem",
        access_key_id="AKID",
        secret_access_key="of the bucket",
        session_token="token",
    )
    assert configuration.answers.timeout_s == 0.5
    assert "of the bucket" not in repr(configuration.answers)
    assert "s3_config: has no effect in this release" in configuration.warnings
    assert "s3_api_version" not in configuration.warnings
    plain = storage(tmp_path, "litellm_settings: {cache: true, cache_params: {type: s3, s3_bucket_name: b}}")
    assert plain.bucket == Bucket(name="b")


def caching(folder: Path, params: str, **environ: str) -> Caching:
    found = read(folder, f"litellm_settings: {{cache: true, cache_params: {{{params}}}}}", **environ).caching
    assert found is not None
    return found


def test_a_semantic_cache_is_of_one_key_unless_somebody_says_so(tmp_path: Path) -> None:
    plain = caching(tmp_path, "type: local-semantic")
    assert plain.likeness == Likeness(model="text-embedding-ada-002", threshold=0.9, timeout_s=1.0)
    scopes: dict[str, CacheScope] = {
        "type: local-semantic": "key",
        "type: local-semantic, semantic_cache_scope: end_user": "end_user",
        "type: local-semantic, scope: team": "team",
        "type: local-semantic, scope: global, semantic_cache_scope: global": "global",
        "type: local": "global",
        "type: local, scope: key": "key",
        "type: local, semantic_cache_scope: team": "global",
    }
    assert {text: caching(tmp_path, text).scope for text in scopes} == scopes
    with pytest.raises(ConfigurationError, match="semantic_cache_scope: team is not what `scope: key` says"):
        caching(tmp_path, "type: local-semantic, scope: key, semantic_cache_scope: team")


@pytest.mark.parametrize(
    "name",
    [
        "semantic_cache_embedding_model",
        "redis_semantic_cache_embedding_model",
        "valkey_semantic_cache_embedding_model",
        "qdrant_semantic_cache_embedding_model",
    ],
)
def test_what_is_said_of_likeness_under_any_name(tmp_path: Path, name: str) -> None:
    text = f"type: local-semantic, {name}: e, similarity_threshold: 0.75, semantic_cache_timeout: 0.5"
    assert caching(tmp_path, text).likeness == Likeness(model="e", threshold=0.75, timeout_s=0.5)
    configuration = read(tmp_path, f"litellm_settings: {{cache: true, cache_params: {{type: disk, {name}: e}}}}")
    assert configuration.caching is not None
    assert configuration.caching.likeness is None
    assert f"{name}: counts for a semantic `type` only, and not for disk" in configuration.warnings


@pytest.mark.parametrize("threshold", ["0", "1.1", "high"])
def test_a_threshold_is_a_share(tmp_path: Path, threshold: str) -> None:
    with pytest.raises(ConfigurationError, match="expected a number above 0, at most 1"):
        caching(tmp_path, f"type: local-semantic, similarity_threshold: {threshold}")


def test_vectors_are_compared_by_the_gateways_own_postgres(tmp_path: Path) -> None:
    text = "litellm_settings: {cache: true, cache_params: {type: pgvector-semantic}}"
    assert storage(tmp_path, text, DATABASE_URL="postgresql://h/d").kind == "pgvector-semantic"
    for environ in ({}, {"DATABASE_URL": f"sqlite:///{tmp_path}/x.db"}):
        with pytest.raises(ConfigurationError, match="database_url: postgresql://") as got:
            read(tmp_path, text, **environ)
        assert "local-semantic" in str(got.value)


@pytest.mark.parametrize("kind", ["redis-semantic", "valkey-semantic", "qdrant-semantic"])
def test_kinds_of_other_servers_are_kept_in_memory_and_say_so(tmp_path: Path, kind: str) -> None:
    configuration = read(tmp_path, f"litellm_settings: {{cache: true, cache_params: {{type: {kind}, host: h}}}}")
    assert configuration.answers is not None
    assert configuration.answers.kind == "local-semantic"
    assert configuration.warnings.count(kind) == 1
    assert "use `pgvector-semantic` to share them" in configuration.warnings
