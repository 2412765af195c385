from __future__ import annotations

import pytest
from tests.support.http_server import Reply, http_server

from tollway.callbacks.generic_api import GenericApi
from tollway.callbacks.sample import sample_event
from tollway.callbacks.table import open_destination
from tollway.core.errors import Misconfigured, UpstreamError


@pytest.mark.parametrize(
    ("log_format", "requests", "lines"), [("json_array", 1, 1), ("ndjson", 1, 3), ("single", 2, 2)]
)
async def test_a_batch_is_an_array_lines_or_calls(log_format: str, requests: int, lines: int) -> None:
    async with http_server(lambda request: Reply(200, b"")) as server:
        place = GenericApi.open({"endpoint": server.url, "log_format": log_format})
        await place.deliver([sample_event(1.0), sample_event(2.0)])
        await place.close()
    assert len(server.requests) == requests
    assert len(b"\n".join(one.body for one in server.requests).split(b"\n")) == lines


async def test_what_may_get_better_says_when_and_the_rest_says_what_to_check() -> None:
    answers = [Reply(429, b"sk-echo", headers=("Retry-After: 7",)), Reply(401, b"sk-echo")]
    async with http_server(lambda request: answers.pop(0)) as server:
        place = GenericApi.open({"endpoint": server.url})
        with pytest.raises(UpstreamError) as busy:
            await place.deliver([sample_event(1.0)])
        with pytest.raises(Misconfigured, match="HTTP 401; check GENERIC_LOGGER_ENDPOINT") as refused:
            await place.deliver([sample_event(1.0)])
        await place.close()
    assert dict(busy.value.headers)[b"retry-after"] == b"7"
    assert "sk-echo" not in busy.value.message + refused.value.message


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({}, "GENERIC_LOGGER_ENDPOINT"),
        ({"endpoint": "logs.example.com"}, "begins with https://"),
        ({"endpoint": "https://x", "log_format": "xml"}, "json_array, ndjson, single"),
        ({"endpoint": "https://x", "headers": "nothing"}, "name=value"),
    ],
)
def test_mistakes_are_named(variables: dict[str, str], named: str) -> None:
    with pytest.raises(Misconfigured, match=named):
        GenericApi.open(variables)


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "10.0.0.1", "169.254.169.254", "[::1]", "[::ffff:127.0.0.1]", "127.1", "2130706433"],
)
async def test_keys_and_teams_reach_no_private_address(host: str) -> None:
    place = open_destination(
        "generic_api", {"endpoint": f"http://{host}:9/x"}, {}, is_of_user=True, may_be_private=False
    )
    with pytest.raises(Misconfigured, match="not public"):
        await place.deliver([sample_event(1.0)])
    await place.close()


def test_nothing_of_the_operators_goes_where_somebody_else_chose() -> None:
    environ = {"GENERIC_LOGGER_HEADERS": "authorization=secret", "GENERIC_LOGGER_ENDPOINT": "https://operator.example"}
    own = {"endpoint": "https://other.example"}
    place = open_destination("generic_api", own, environ, is_of_user=True, may_be_private=False)
    assert "authorization" not in place._headers  # type: ignore[attr-defined]
