"""`cache` and `cache_params`: where answers are kept, and which."""

from __future__ import annotations

from pathlib import Path

import pytest

from tollway.config.configuration import AnswerStorage, Configuration
from tollway.config.load import load
from tollway.config.problem import ConfigurationError
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
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, params: str, expected: str) -> None:
    with pytest.raises(ConfigurationError, match="cache_params") as got:
        read(tmp_path, f"litellm_settings: {{cache: true, cache_params: {params}}}")
    assert expected in str(got.value)


def test_kinds_of_a_later_release_keep_answers_in_memory_and_say_so(tmp_path: Path) -> None:
    configuration = read(tmp_path, "litellm_settings: {cache: true, cache_params: {type: s3, s3_bucket_name: b}}")
    assert configuration.answers is not None
    assert configuration.answers.kind == "local"
    assert "s3_bucket_name: has no effect in this release" in configuration.warnings
