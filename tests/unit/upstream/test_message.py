from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway import __version__
from tollway.core.errors import InvalidRequest
from tollway.core.snapshot import Endpoint, Origin
from tollway.upstream.message import encode_fields, encode_head


def head(origin: Origin, *headers: tuple[str, str]) -> list[bytes]:
    return encode_head(Endpoint(origin=origin, target="/v1/x?a=b", headers=headers)).split(b"\r\n")


def test_the_head_names_the_path_the_host_and_the_fixed_fields() -> None:
    assert head(Origin("https", "api.vendor.test", 443), ("Authorization", "Bearer sk")) == [
        b"POST /v1/x?a=b HTTP/1.1",
        b"Host: api.vendor.test",
        b"User-Agent: tollway/" + __version__.encode(),
        b"Accept-Encoding: identity",
        b"Authorization: Bearer sk",
        b"",
    ]


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        (Origin("http", "h", 80), b"h"),
        (Origin("http", "h", 443), b"h:443"),
        (Origin("https", "h", 8443), b"h:8443"),
        (Origin("http", "::1", 80), b"[::1]"),
        (Origin("http", "::1", 8080), b"[::1]:8080"),
    ],
)
def test_a_port_is_named_where_it_is_not_the_usual_one(origin: Origin, host: bytes) -> None:
    assert b"Host: " + host in head(origin)


def test_an_endpoint_may_have_its_own_user_agent() -> None:
    lines = head(Origin("http", "h", 80), ("user-agent", "mine"), ("accept-encoding", "gzip"))
    assert lines[2:] == [b"user-agent: mine", b"accept-encoding: gzip", b""]


@given(st.text(max_size=20), st.text(max_size=40))
def test_one_field_is_one_line_or_refused(name: str, value: str) -> None:
    try:
        line = encode_fields([(name, value)])
    except InvalidRequest:
        return
    assert line == f"{name}: {value}\r\n".encode("latin-1")
    assert line.count(b"\r") == line.count(b"\n") == 1
    assert b":" not in name.encode()


def test_a_refused_value_is_not_repeated() -> None:
    with pytest.raises(InvalidRequest) as caught:
        encode_fields([("authorization", "Bearer sk-secret\n")])
    assert "sk-secret" not in caught.value.message
    assert "authorization" in caught.value.message
