"""Which calls are alike."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.deployments import group

from tollway.core.caching import CacheControl, Caching
from tollway.core.principal import Principal
from tollway.core.snapshot import Operation, Settings
from tollway.dialects.body import read_fields
from tollway.dialects.registry import find_identity
from tollway.gateway.caching import cache_key
from tollway.gateway.call import Call, Controls

KEPT = Caching(operations=frozenset({"chat", "embeddings", "responses", "messages"}))
TURN = {"role": "user", "content": "Hi"}


def call(body: dict[str, Any] | str, operation: Operation = "chat", **more: Any) -> Call:
    one = Call(operation=operation, path="/x", headers={}, client_ip="", settings=Settings())
    one.raw_body = (body if isinstance(body, str) else json.dumps(body)).encode()
    one.request = find_identity(operation).read_request(read_fields(one.raw_body), path_model=None, is_stream=False)
    one.controls = Controls(cache=CacheControl(**more))
    one.principal = Principal(key_hash="k", team_id="t")
    return one


def key(body: dict[str, Any] | str, caching: Caching = KEPT, **more: Any) -> str:
    return cache_key(call(body, **more), group("m"), caching)


def test_it_is_a_digest_behind_its_namespace() -> None:
    plain = key({"messages": [TURN]})
    assert len(plain) == 64
    assert int(plain, 16)
    assert key({"messages": [TURN]}, namespace="mine") == f"mine:{plain}"
    assert key({"messages": [TURN]}, Caching(operations=KEPT.operations, namespace="ours")) == f"ours:{plain}"


def shuffled(value: Any, chance: random.Random) -> Any:
    """The same, with the members of every object in another order."""
    if isinstance(value, dict):
        members = list(value.items())
        chance.shuffle(members)
        return {name: shuffled(member, chance) for name, member in members}
    return [shuffled(item, chance) for item in value] if isinstance(value, list) else value


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@given(tools=values, chance=st.randoms(use_true_random=False))
def test_the_order_of_members_makes_no_difference(tools: Any, chance: random.Random) -> None:
    body = {"messages": [TURN], "tools": tools, "temperature": 0.5, "user": "u"}
    assert key(json.dumps(body, indent=2)) == key(json.dumps(shuffled(body, chance)))


@given(one=values, other=values)
def test_any_other_value_does(one: Any, other: Any) -> None:
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (key({"messages": [TURN], "seed": one}) == key({"messages": [TURN], "seed": other})) is same


@pytest.mark.parametrize(
    "change",
    [{"temperature": 1}, {"user": "u"}, {"stream": True}, {"messages": [{**TURN, "content": "Ho"}]}, {"brand_new": 1}],
)
def test_what_goes_to_the_provider_counts(change: dict[str, Any]) -> None:
    assert key({"messages": [TURN]}) != key({"messages": [TURN], **change})


def test_headers_for_the_provider_count_too() -> None:
    def with_headers(*headers: tuple[str, str]) -> str:
        one = call({"messages": [TURN]})
        one.controls.extra_headers = headers
        return cache_key(one, group("m"), KEPT)

    assert with_headers() == key({"messages": [TURN]})
    assert len({with_headers(), with_headers(("x-flag", "1")), with_headers(("x-flag", "2"))}) == 3
    assert with_headers(("X-A", "1"), ("x-b", "2")) == with_headers(("x-b", "2"), ("x-a", "1"))


def test_flags_of_a_beta_that_reach_the_provider_count_in_any_order() -> None:
    def flagged(flags: bytes | None) -> str:
        one = call({"messages": [TURN], "max_tokens": 5}, "messages")
        if flags is not None:
            one.headers[b"anthropic-beta"] = flags
        return cache_key(one, group("m"), KEPT)

    assert flagged(b"a,b") == flagged(b"b, a")
    assert len({flagged(None), flagged(b"a"), flagged(b"a,b")}) == 3


def test_metadata_and_the_name_that_was_asked_for_do_not() -> None:
    assert key({"model": "a", "messages": [TURN], "metadata": {"x": 1}}) == key({"model": "b", "messages": [TURN]})


def test_models_share_answers_where_the_operator_says_so() -> None:
    sharing = Caching(operations=KEPT.operations, groups=(frozenset({"m", "n"}),))
    one = call({"messages": [TURN]})
    assert cache_key(one, group("m"), KEPT) != cache_key(one, group("n"), KEPT)
    assert cache_key(one, group("m"), sharing) == cache_key(one, group("n"), sharing)
    assert cache_key(one, group("m"), sharing) != cache_key(one, group("o"), sharing)


def test_who_shares_is_a_setting() -> None:
    def seen_by(scope: Any, key_hash: str, team_id: str | None) -> str:
        one = call({"messages": [TURN]})
        one.principal = Principal(key_hash=key_hash, team_id=team_id)
        return cache_key(one, group("m"), Caching(operations=KEPT.operations, scope=scope))

    assert seen_by("global", "a", "t") == seen_by("global", "b", "u")
    assert seen_by("team", "a", "t") == seen_by("team", "b", "t")
    assert seen_by("team", "a", "t") != seen_by("team", "a", "u")
    assert seen_by("team", "a", None) != seen_by("team", "b", None), "without a team a key is alone"
    assert seen_by("key", "a", "t") != seen_by("key", "b", "t")


def test_long_conversations_are_left_out() -> None:
    assert key({"messages": [TURN] * 4})
    assert key({"messages": [TURN] * 5}) == ""
    assert key({"messages": [TURN] * 99}, Caching(operations=KEPT.operations, max_messages=None))
    asked = call({"input": [TURN] * 5}, "responses")
    assert cache_key(asked, group("m"), KEPT) == ""


def test_what_is_not_to_be_kept_has_no_key() -> None:
    asked = {"messages": [TURN]}
    assert key(asked, Caching(operations=frozenset({"embeddings"}))) == ""
    assert key(asked, skips_read=True, skips_write=True) == ""
    assert key(asked, skips_read=True)
    opt_in = Caching(operations=KEPT.operations, is_on_by_default=False)
    assert key(asked, opt_in) == ""
    assert key(asked, opt_in, opts_in=True)
    assert key(asked, opts_in=False) == ""
