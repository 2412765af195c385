# ruff: noqa: E501  (tables of what is written and what is said about it)
from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.unit.config.test_load import Folder

from tollway.config.secret import masked
from tollway.core.redis import RedisAddress, RedisNode

KEYS = {"LITELLM_MASTER_KEY": "sk-q8d7Zk2u9x", "LITELLM_SALT_KEY": "sk-salt-01234567"}


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def settled(folder: Folder, text: str, environ: Mapping[str, str], flag: str | None = None) -> RedisAddress | None:
    return folder.load(text, flags={"redis_url": flag}, **KEYS, **environ).server.redis


def at(host: str, port: int = 6379, **more: Any) -> RedisAddress:
    return RedisAddress(nodes=(RedisNode(host, port),), **more)


SOURCES = {
    "coordination_redis": "general_settings: {coordination_redis: {host: coordination}}\n",
    "router_settings": "router_settings: {redis_host: router}\n",
    "cache_params": "litellm_settings: {cache: true, cache_params: {type: redis, host: cache}}\n",
}


def test_nobody_names_one(folder: Folder) -> None:
    assert settled(folder, "", {}) is None
    assert settled(folder, "", {"REDIS_PORT": "1", "REDIS_PASSWORD": "x"}) is None


def test_the_first_of_several_sources_that_names_one_counts(folder: Folder) -> None:
    texts, environ = dict(SOURCES), {"REDIS_HOST": "plain", "TOLLWAY_REDIS_URL": "redis://own"}
    assert settled(folder, "".join(texts.values()), environ, "redis://flag") == at("flag")
    assert settled(folder, "".join(texts.values()), environ) == at("own")
    del environ["TOLLWAY_REDIS_URL"]
    for name, host in (
        ("coordination_redis", "coordination"),
        ("router_settings", "router"),
        ("cache_params", "cache"),
    ):
        assert settled(folder, "".join(texts.values()), environ) == at(host)
        del texts[name]
    assert settled(folder, "", environ) == at("plain")


@pytest.mark.parametrize(
    ("text", "environ", "expected"),
    [
        ("", {"REDIS_URL": "redis://u:p%40@h:7/3"}, at("h", 7, username="u", password="p@", db=3)),
        ("", {"REDIS_URL": "rediss://:p@h"}, at("h", password="p", is_tls=True)),
        ("", {"REDIS_URL": "valkeys://h?ssl_cert_reqs=none"}, at("h", is_tls=True, checks_certificate=False)),
        ("", {"REDIS_URL": "redis://[::1]:7"}, at("::1", 7)),
        ("", {"REDIS_URL": "unix:///run/v.sock?db=2"}, RedisAddress(socket_path="/run/v.sock", db=2)),
        ("", {"REDIS_HOST": "h", "REDIS_PORT": "7", "REDIS_USERNAME": "u", "REDIS_PASSWORD": "p", "REDIS_DB": "1", "REDIS_SSL": "true"},
         at("h", 7, username="u", password="p", db=1, is_tls=True)),
        ("", {"REDIS_HOST": "redis", "REDIS_PORT": "tcp://10.0.0.1:6379"}, at("redis")),
        ("", {"REDIS_CLUSTER_NODES": '[{"host": "a", "port": "7001"}, {"host": "b", "port": 7002}]', "REDIS_PASSWORD": "p"},
         RedisAddress(kind="cluster", nodes=(RedisNode("a", 7001), RedisNode("b", 7002)), password="p")),
        ("", {"REDIS_SENTINEL_NODES": '[["a", 1], ["b", 2]]', "REDIS_SERVICE_NAME": "m", "REDIS_SENTINEL_PASSWORD": "s"},
         RedisAddress(kind="sentinel", nodes=(RedisNode("a", 1), RedisNode("b", 2)), service_name="m", sentinel_password="s")),
        ("", {"REDIS_SENTINEL_NODES": "a:1,b:2", "REDIS_SERVICE_NAME": "m"},
         RedisAddress(kind="sentinel", nodes=(RedisNode("a", 1), RedisNode("b", 2)), service_name="m")),
        ("router_settings: {redis_host: os.environ/H, redis_port: os.environ/P}\n", {"H": "h", "P": "7"}, at("h", 7)),
        ("router_settings: {redis_url: 'redis://h/4'}\n", {}, at("h", db=4)),
        ("general_settings: {coordination_redis: {url: 'redis://h', password: p, namespace: n, socket_timeout: 2, max_connections: 4}}\n", {},
         at("h", password="p", namespace="n", answer_timeout_s=2, connections=4)),
        ("general_settings: {coordination_redis: {ssl: true}}\n", {"REDIS_HOST": "h"}, at("h", is_tls=True)),
        ("litellm_settings: {cache: true}\n", {"REDIS_HOST": "h"}, at("h")),
        ("litellm_settings: {cache: true, cache_params: {type: redis, ssl: true}}\n", {"REDIS_HOST": "h"}, at("h", is_tls=True)),
        ("litellm_settings: {cache_params: {type: redis, host: h, port: '7', ttl: 60}}\n", {}, at("h", 7)),
        ("litellm_settings: {cache: true, cache_params: {type: local, host: h}}\n", {}, None),
        ("litellm_settings: {cache: false, cache_params: {type: redis, host: h}}\n", {}, None),
        ("litellm_settings: {cache: true, cache_params: {type: redis, redis_startup_nodes: [{host: a, port: 1}]}}\n", {},
         RedisAddress(kind="cluster", nodes=(RedisNode("a", 1),))),
    ],
)  # fmt: skip
def test_an_address_is_read_in_every_form(
    folder: Folder, text: str, environ: dict[str, str], expected: RedisAddress | None
) -> None:
    assert settled(folder, text, environ) == expected


def test_what_a_source_leaves_open_comes_from_variables_unless_they_are_about_another_server(folder: Folder) -> None:
    secrets = {"REDIS_PASSWORD": "p", "REDIS_DB": "2"}
    for text in SOURCES.values():
        alone = settled(folder, text, secrets)
        assert alone is not None
        assert (alone.password, alone.db) == ("p", 2)
        beside = settled(folder, text, {"REDIS_HOST": "another", **secrets})
        assert beside is not None
        assert (beside.password, beside.db) == (None, 0)


@pytest.mark.parametrize(
    ("text", "environ", "problem"),
    [
        ("", {"REDIS_URL": "http://h"}, "environment REDIS_URL: router_settings.redis_url: is no address of a Redis; write redis://user:password@host:6379/0, rediss://… for TLS, or unix:///path"),
        ("", {"REDIS_URL": "redis://h/x"}, "environment REDIS_URL: router_settings.redis_url: names no database: what follows the host is its number; write redis://user:password@host:6379/0, rediss://… for TLS, or unix:///path"),
        ("", {"REDIS_HOST": "h", "REDIS_PORT": "many"}, "environment REDIS_PORT: router_settings.redis_port: expected a port number (0 to 65535), not 'many'"),
        ("", {"REDIS_CLUSTER_NODES": "a"}, "environment REDIS_CLUSTER_NODES: router_settings.redis_cluster_nodes: expected a list of host:port, not 'a'"),
        ("", {"REDIS_CLUSTER_NODES": "a:1", "REDIS_DB": "1"}, "environment REDIS_CLUSTER_NODES: router_settings.redis_cluster_nodes: a cluster has only database 0; leave `db` out"),
        ("", {"REDIS_SENTINEL_NODES": "a:1"}, "environment REDIS_SENTINEL_NODES: router_settings.redis_sentinel_nodes: names sentinels, but not the server they watch; set `service_name`, or REDIS_SERVICE_NAME"),
        ("general_settings: {coordination_redis: {usernmae: h}}\n", {}, "config.yaml:1: general_settings.coordination_redis.usernmae: is not a known key; did you mean `username`?"),
        ("general_settings: {coordination_redis: {db: 1}}\n", {}, "config.yaml:1: general_settings.coordination_redis: does not say where the server is; add `url` or `host`"),
        ("general_settings: {coordination_redis: {host: h, namespace: 'a{b}'}}\n", {}, "config.yaml:1: general_settings.coordination_redis: `namespace` may hold no braces: in a cluster they decide where a key is kept; choose another name"),
        ("litellm_settings: {cache: true, cache_params: {type: redis, host: h, port: 70000}}\n", {}, "config.yaml:1: litellm_settings.cache_params.port: expected a port number (0 to 65535), not 70000"),
    ],
)  # fmt: skip
def test_nonsense_is_refused_with_field_and_remedy(
    folder: Folder, text: str, environ: dict[str, str], problem: str
) -> None:
    assert problem in folder.problems(text, flags=None, **KEYS, **environ)


def test_secrets_are_masked_wherever_the_settings_are_shown(folder: Folder) -> None:
    mapping = "{url: 'redis://u:s3cret@h/0', password: s3cret, sentinel_password: s3cret}"
    text = f"general_settings: {{coordination_redis: {mapping}}}\nlitellm_settings: {{cache_params: {mapping}}}\n"
    environ = {"REDIS_URL": "redis://:s3cret@h", "REDIS_PASSWORD": "s3cret", "REDIS_SENTINEL_PASSWORD": "s3cret"}
    configuration = folder.load(text, flags=None, **KEYS, **environ)
    shown = {path: masked(setting.value) for path, setting in configuration.origins.items()}
    assert "s3cret" not in repr(shown)
    assert "s3cret" not in msgspec.json.encode(shown, enc_hook=str).decode()
    assert "s3cret" not in repr(configuration)
    assert shown["router_settings.redis_url"] == "redis://:***@h"
    assert configuration.origins["router_settings.redis_url"].origin == "environment REDIS_URL"


@pytest.mark.parametrize("missing", KEYS)
def test_a_shared_server_needs_keys_that_are_the_same_everywhere(folder: Folder, missing: str) -> None:
    given = {name: value for name, value in KEYS.items() if name != missing}
    (problem,) = folder.problems("", flags=None, REDIS_URL="redis://h", **given)
    assert problem.startswith("environment REDIS_URL: general_settings.")
    assert problem.endswith(f"set {missing}")


def test_postgres_with_a_shared_redis_may_have_several_gateways(folder: Folder) -> None:
    database = {"DATABASE_URL": "postgresql://u:p@h/d", **KEYS}
    assert "at a time" in folder.warnings("", **database)
    assert folder.warnings("", REDIS_URL="redis://h", **database) == ""


def test_addresses_that_a_cluster_of_machines_sets_by_itself_are_not_taken_for_settings(folder: Folder) -> None:
    links = {"TOLLWAY_REDIS_PORT": "tcp://10.0.0.1:6379", "TOLLWAY_REDIS_SERVICE_HOST": "10.0.0.1",
             "TOLLWAY_REDIS_PORT_6379_TCP_ADDR": "10.0.0.1"}  # fmt: skip
    assert folder.warnings("", **links) == ""
