"""`cache` and `cache_params`: where answers are kept, and which."""

from __future__ import annotations

from pathlib import Path

import pytest

from tollway.config.configuration import AnswerStorage, Configuration
from tollway.config.load import load
from tollway.config.problem import ConfigurationError
from tollway.core.bucket import Bucket
from tollway.core.caching import Caching
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
        ("{scope: everybody}", "expected global, team or key"),
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
