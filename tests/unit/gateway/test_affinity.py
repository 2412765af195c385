"""Which calls belong together."""

from __future__ import annotations

from typing import Any

import msgspec

from tollway.core.principal import Principal
from tollway.core.routing import Routing
from tollway.core.snapshot import Settings
from tollway.dialects.body import read_fields
from tollway.dialects.registry import find_identity
from tollway.gateway.affinity import affinity_of
from tollway.gateway.call import Call, Controls

LONG = "Once upon a time. " * 300


def call(body: dict[str, Any], *, session: str = "", key: str = "k") -> Call:
    one = Call(operation="chat", path="/v1/chat/completions", headers={}, client_ip="", settings=Settings())
    one.raw_body = msgspec.json.encode({"model": "m", **body})
    one.request = find_identity("chat").read_request(read_fields(one.raw_body), path_model=None, is_stream=False)
    one.controls = Controls(session_id=session)
    one.principal = Principal(key_hash=key)
    return one


def turn(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def test_nothing_does_unless_the_operator_says_so() -> None:
    assert affinity_of(call({"messages": [turn(LONG)]}, session="s"), Routing()) == ""


def test_a_session_is_one_of_its_key() -> None:
    routing = Routing(affinities=frozenset({"session_affinity"}))
    one = affinity_of(call({"messages": []}, session="s"), routing)
    assert one
    assert affinity_of(call({"messages": [turn("Hi")]}, session="s"), routing) == one
    assert affinity_of(call({"messages": []}, session="s", key="other"), routing) != one
    assert affinity_of(call({"messages": []}), routing) == ""


def test_a_conversation_that_grows_stays_where_its_prompt_is_cached() -> None:
    routing = Routing(affinities=frozenset({"prompt_caching"}))
    one = affinity_of(call({"messages": [turn(LONG)]}), routing)
    assert one
    assert affinity_of(call({"messages": [turn(LONG), turn("And then?")]}), routing) == one
    assert affinity_of(call({"messages": [turn(LONG + "."), turn("And then?")]}), routing) != one
    assert affinity_of(call({"messages": [turn(LONG)], "tools": []}), routing) != one
    assert affinity_of(call({"messages": [turn("short")]}), routing) == "", "nobody caches it"


def test_a_key_has_an_affinity_where_nothing_closer_does() -> None:
    routing = Routing(affinities=frozenset({"session_affinity", "deployment_affinity"}))
    assert affinity_of(call({"messages": []}), routing) != affinity_of(call({"messages": []}, session="s"), routing)
    assert affinity_of(call({"messages": []}), routing) == affinity_of(call({"messages": [turn("x")]}), routing)
