from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway.server.head import UnsendableResponse, encode_head, error_response

DATE = [(b"date", b"Tue, 24 Nov 2026 04:00:00 GMT")]
NAMES = st.from_regex(rb"[a-z0-9-]{1,12}", fullmatch=True).filter(
    lambda name: name not in (b"connection", b"transfer-encoding", b"content-length", b"date")
)


@given(st.lists(st.tuples(NAMES, st.binary(max_size=12)), max_size=8))
def test_a_head_has_exactly_the_fields_it_was_given(headers: list[tuple[bytes, bytes]]) -> None:
    can_be_sent = not any(byte in value for _, value in headers for byte in b"\r\n\0")
    try:
        head, _, _ = encode_head(200, headers, DATE)
    except UnsendableResponse:
        assert not can_be_sent
        return
    assert can_be_sent
    lines = head.split(b"\r\n")
    assert lines[0] == b"HTTP/1.1 200 OK"
    assert lines[1:] == [b": ".join(header) for header in [*DATE, *headers]] + [b""]


def test_names_are_written_in_lower_case() -> None:
    head, length, _ = encode_head(200, [(b"Content-Length", b"5"), (b"X-One", b"A")], ())
    assert head == b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nx-one: A\r\n"
    assert length == 5


def test_fields_may_be_lists_and_come_from_any_iterable() -> None:
    head, _, _ = encode_head(200, iter([[b"x-one", b"1"]]), ())  # type: ignore[arg-type]
    assert head == b"HTTP/1.1 200 OK\r\nx-one: 1\r\n"


def test_no_fields_at_all() -> None:
    assert encode_head(404, (), ()) == (b"HTTP/1.1 404 Not Found\r\n", None, False)


@pytest.mark.parametrize(("status", "line"), [(299, b"HTTP/1.1 299 \r\n"), (599, b"HTTP/1.1 599 \r\n")])
def test_a_status_without_a_name(status: int, line: bytes) -> None:
    assert encode_head(status, (), ())[0] == line


@pytest.mark.parametrize("status", [100, 101, 0, 1000, -1])
def test_a_status_that_ends_no_exchange_is_refused(status: int) -> None:
    with pytest.raises(UnsendableResponse, match="status"):
        encode_head(status, (), ())


def test_fields_about_the_connection_are_the_servers() -> None:
    headers = [(b"transfer-encoding", b"chunked"), (b"Connection", b"keep-alive"), (b"x-one", b"1")]
    assert encode_head(200, headers, ()) == (b"HTTP/1.1 200 OK\r\nx-one: 1\r\n", None, False)
    assert encode_head(200, [(b"connection", b"x, Close")], DATE)[2]


def test_the_applications_fields_go_before_the_servers() -> None:
    head, _, _ = encode_head(200, [(b"date", b"mine")], DATE)
    assert head == b"HTTP/1.1 200 OK\r\ndate: mine\r\n"


def test_repeated_fields_stay() -> None:
    head, _, _ = encode_head(200, [(b"set-cookie", b"a"), (b"set-cookie", b"b")], ())
    assert head == b"HTTP/1.1 200 OK\r\nset-cookie: a\r\nset-cookie: b\r\n"


def test_the_same_length_twice_is_one_and_two_lengths_are_none() -> None:
    length = (b"content-length", b"5")
    assert encode_head(200, [length, length], ())[:2] == (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n", 5)
    with pytest.raises(UnsendableResponse, match="content-length"):
        encode_head(200, [length, (b"content-length", b"6")], ())


def test_no_content_has_no_length() -> None:
    assert encode_head(204, [(b"content-length", b"0"), (b"x-one", b"1")], ()) == (
        b"HTTP/1.1 204 No Content\r\nx-one: 1\r\n",
        None,
        False,
    )


def test_errors_are_in_openais_envelope() -> None:
    head, body = error_response(431, "Too long.", DATE)
    assert head.startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\ndate: Tue")
    assert head.endswith(b"connection: close\r\n\r\n")
    assert b"content-length: %d\r\n" % len(body) in head
    assert json.loads(body) == {
        "error": {"message": "Too long.", "type": "invalid_request_error", "param": None, "code": "431"}
    }
