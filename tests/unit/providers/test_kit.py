"""From an operator's parameters to URLs and headers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway import providers
from tollway.core.errors import Misconfigured, UpstreamError
from tollway.core.snapshot import Endpoint, Origin
from tollway.providers import ConnectionParams, Provider
from tollway.providers._address import is_proxied, locate, merge_headers


def find(name: str) -> Provider:
    provider = providers.find(name)
    assert provider is not None
    return provider


def chat(name: str, **given: object) -> Endpoint:
    return find(name).endpoints(ConnectionParams(**{"model": "m", **given}))["chat"]  # type: ignore[arg-type]


def header(endpoint: Endpoint, name: str) -> str | None:
    found = [value for known, value in endpoint.headers if known.lower() == name.lower()]
    assert len(found) < 2
    return found[0] if found else None


@pytest.mark.parametrize(
    ("base", "target", "port"),
    [
        ("https://h.test/v1", "/v1/chat/completions", 443),
        ("https://h.test/v1/", "/v1/chat/completions", 443),
        ("https://h.test/v1//", "/v1/chat/completions", 443),
        ("http://h.test", "/chat/completions", 80),
        ("http://h.test:8080/", "/chat/completions", 8080),
        ("https://h.test/a/b/v1", "/a/b/v1/chat/completions", 443),
        ("https://h.test/v1?tier=gold", "/v1/chat/completions?tier=gold", 443),
        ("https://h.test/v1/?a=1&b=2", "/v1/chat/completions?a=1&b=2", 443),
        ("https://h.test/v1/chat/completions", "/v1/chat/completions", 443),
        ("https://h.test/v1/embeddings?x=1", "/v1/chat/completions?x=1", 443),
        ("https://h.test/caf\u00e9/v1", "/caf%C3%A9/v1/chat/completions", 443),
        ("https://h.test/a%2Fb", "/a%2Fb/chat/completions", 443),
    ],
)
def test_a_base_is_extended_exactly(base: str, target: str, port: int) -> None:
    endpoint = chat("openai", api_base=base, api_key="k")
    assert endpoint.target == target
    assert (endpoint.origin.host, endpoint.origin.port) == ("h.test", port)


@pytest.mark.parametrize(
    ("base", "target"),
    [
        ("http://127.0.0.1:11434", "/v1/chat/completions"),
        ("http://127.0.0.1:11434/", "/v1/chat/completions"),
        ("http://127.0.0.1:11434/v1", "/v1/chat/completions"),
        ("http://127.0.0.1:11434/proxy", "/proxy/chat/completions"),
    ],
)
def test_a_bare_host_gets_the_path_its_users_leave_out(base: str, target: str) -> None:
    assert chat("ollama", api_base=base).target == target


@pytest.mark.parametrize(
    ("base", "host"), [("http://[::1]:8000/v1", "::1"), ("http://[2001:db8::2]/v1", "2001:db8::2")]
)
def test_an_ipv6_host_loses_its_brackets(base: str, host: str) -> None:
    assert chat("openai", api_base=base).origin.host == host


def test_an_international_host_is_encoded() -> None:
    assert chat("openai", api_base="https://b\u00fccher.test/v1").origin.host == "xn--bcher-kva.test"


def test_certificates_are_checked_as_the_deployment_wants() -> None:
    assert chat("openai", api_key="k").origin.verify is True
    assert chat("openai", api_key="k", verify="/etc/ca.pem").origin.verify == "/etc/ca.pem"


@pytest.mark.parametrize(
    "base",
    [
        "h.test/v1",
        "ftp://h.test/v1",
        "//h.test/v1",
        "https:///v1",
        "https://" + "\u00fc" * 80 + ".test/v1",
        "https://h.test:port/v1",
        "https://h.test:99999/v1",
        "https://[::1/v1",
        "https://h.test/v1#top",
        "https://h.test/a b",
        "https://h.test/v1\r\nX-Evil: 1",
        "https://user:s3cret@h.test/v1",
        "https://s3cret@h.test/v1",
        "https://h.test/v1?api_key=s3cret",
        "https://h.test/v1?access_token=s3cret",
        "https://h.test/v1?KEY=s3cret",
    ],
)
def test_what_cannot_be_called_is_refused_without_repeating_a_secret(base: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        chat("openai", api_base=base, api_key="k")
    assert "s3cret" not in caught.value.message
    assert "api_base of openai" in caught.value.message
    assert caught.value.param == "api_base"


def test_the_address_comes_from_the_deployment_then_the_environment_then_the_vendor() -> None:
    environ = {"OPENAI_BASE_URL": "https://env.test/v1", "OPENAI_API_BASE": "https://second.test/v1"}
    assert chat("openai", api_base="https://own.test/v1", environ=environ).origin.host == "own.test"
    assert chat("openai", environ=environ).origin.host == "env.test"
    assert chat("openai", api_base="", environ={"OPENAI_BASE_URL": " "}).origin.host == "api.openai.com"


def test_the_key_comes_from_the_deployment_then_the_environment() -> None:
    environ = {"TOGETHER_API_KEY": "second", "TOGETHERAI_API_KEY": "first"}
    assert header(chat("together_ai", environ=environ), "authorization") == "Bearer first"
    assert header(chat("together_ai", api_key="own", environ=environ), "authorization") == "Bearer own"


def test_the_line_break_at_the_end_of_a_secret_file_is_not_part_of_the_key() -> None:
    assert header(chat("openai", api_key=" sk-1\n"), "authorization") == "Bearer sk-1"


def test_a_server_without_a_known_address_says_what_to_set() -> None:
    with pytest.raises(Misconfigured, match=r"hosted_vllm.*set api_base or HOSTED_VLLM_API_BASE"):
        chat("hosted_vllm")


def test_an_address_with_a_hole_is_filled_from_the_environment() -> None:
    endpoint = chat("cloudflare", api_key="k", environ={"CLOUDFLARE_ACCOUNT_ID": "a/b"})
    assert endpoint.target == "/client/v4/accounts/a%2Fb/ai/v1/chat/completions"
    with pytest.raises(Misconfigured, match="CLOUDFLARE_ACCOUNT_ID"):
        chat("cloudflare", api_key="k")


def test_extra_headers_win_whatever_their_case() -> None:
    given = {"AUTHORIZATION": "Basic abc", "accept-encoding": "gzip", "X-Team": "caf\u00e9"}
    endpoint = chat("openai", api_key="sk-own", headers=given, organization="org-1")
    assert header(endpoint, "authorization") == "Basic abc"
    assert header(endpoint, "accept-encoding") == "gzip"
    assert header(endpoint, "x-team") == "caf\u00e9"
    assert header(endpoint, "openai-organization") == "org-1"
    assert "sk-own" not in str(endpoint.headers)


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"headers": {"X-A": "1\r\nX-B: 2"}}, "extra_headers"),
        ({"headers": {"X-A": "snow\u2603"}}, "extra_headers"),
        ({"headers": {"X-A": "nul\x00"}}, "extra_headers"),
        ({"headers": {"X A": "1"}}, "extra_headers"),
        ({"headers": {"X-A:": "1"}}, "extra_headers"),
        ({"headers": {"": "1"}}, "extra_headers"),
        ({"headers": {"Host": "evil.test"}}, "extra_headers"),
        ({"headers": {"content-length": "0"}}, "extra_headers"),
        ({"headers": {"Transfer-Encoding": "chunked"}}, "extra_headers"),
        ({"api_key": "sk-s3cret\r\nX-Evil: 1"}, "api_key"),
        ({"api_key": "sk-s3cret\u2603"}, "api_key"),
        ({"organization": "org\nX: 1"}, "extra_headers"),
    ],
)
def test_a_header_that_could_break_its_line_is_refused(given: dict[str, object], field: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        chat("openai", **{"api_key": "k", **given})
    assert caught.value.param == field
    assert "s3cret" not in caught.value.message


@given(st.dictionaries(st.text(max_size=12), st.text(max_size=12), max_size=4))
def test_headers_that_are_let_through_are_safe_on_the_wire(theirs: dict[str, str]) -> None:
    try:
        merged = merge_headers({"Authorization": "Bearer k"}, theirs, provider="p")
    except Misconfigured:
        return
    lines = "".join(f"{name}: {value}\r\n" for name, value in merged).encode("latin-1")
    assert lines.count(b"\n") == lines.count(b"\r") == len(merged)
    assert len({name.lower() for name, _ in merged}) == len(merged)


@given(st.text(max_size=40))
def test_a_base_is_either_refused_or_gives_a_printable_target(path: str) -> None:
    try:
        location = locate(f"https://h.test/{path}", "/chat/completions", field="api_base")
    except Misconfigured:
        return
    assert location.origin == Origin("https", "h.test", 443, True)
    assert location.target.isascii()
    assert location.target.isprintable()
    assert " " not in location.target
    assert location.target.startswith("/")


async def test_a_call_without_a_key_is_refused_with_the_remedy_before_it_leaves() -> None:
    endpoint = chat("groq")
    assert header(endpoint, "authorization") is None
    assert endpoint.credential is not None
    with pytest.raises(UpstreamError, match="groq: no API key; set api_key or GROQ_API_KEY") as caught:
        await endpoint.credential(endpoint, b"{}")
    assert (caught.value.status, caught.value.error_class) == (401, "AuthenticationError")
    assert find("groq").missing(ConnectionParams(model="m")) == caught.value.message


@pytest.mark.parametrize(
    "given",
    [
        {"api_key": "k"},
        {"environ": {"GROQ_API_KEY": "k"}},
        {"api_base": "http://127.0.0.1:9/v1"},
        {"headers": {"authorization": "Bearer mine"}},
    ],
)
def test_a_key_is_not_missed_where_it_is_given_or_not_needed(given: dict[str, object]) -> None:
    assert chat("groq", **given).credential is None


def test_parameters_never_show_their_secrets() -> None:
    params = ConnectionParams(model="m", api_key="sk-s3cret", extra={"client_secret": "s3cret"})
    assert "s3cret" not in f"{params} {params!r}"


def test_a_model_prefix_is_added_to_short_names_only() -> None:
    fireworks = find("fireworks_ai")
    assert fireworks.upstream_model("llama") == "accounts/fireworks/models/llama"
    assert fireworks.upstream_model("accounts/me/models/x") == "accounts/me/models/x"
    assert find("openai").upstream_model("gpt-4o") == "gpt-4o"


def origin(host: str, port: int = 443, scheme: str = "https") -> Origin:
    return Origin(scheme, host, port)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("environ", "target", "expected"),
    [
        ({}, origin("api.test"), False),
        ({"HTTPS_PROXY": "http://p:1"}, origin("api.test"), True),
        ({"https_proxy": "http://p:1"}, origin("api.test"), True),
        ({"HTTPS_PROXY": "http://p:1", "https_proxy": ""}, origin("api.test"), False),
        ({"HTTPS_PROXY": "http://p:1"}, origin("api.test", 80, "http"), False),
        ({"HTTP_PROXY": "http://p:1"}, origin("api.test", 80, "http"), True),
        ({"ALL_PROXY": "http://p:1"}, origin("api.test"), True),
        ({"HTTPS_PROXY": "http://p:1"}, origin("localhost"), False),
        ({"HTTPS_PROXY": "http://p:1"}, origin("127.0.0.1"), False),
        ({"HTTPS_PROXY": "http://p:1"}, origin("::1"), False),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "*"}, origin("api.test"), False),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "other.test, api.test"}, origin("api.test"), False),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": ".test"}, origin("api.test"), False),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "*.test"}, origin("api.test"), False),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "TEST"}, origin("API.test"), False),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "est"}, origin("api.test"), True),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "api.test:443"}, origin("api.test"), False),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "api.test:8443"}, origin("api.test"), True),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "10.0.0.0/8"}, origin("10.1.2.3"), False),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "10.0.0.0/8"}, origin("11.1.2.3"), True),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "[2001:db8::1]"}, origin("2001:db8::1"), False),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "10.1.2.3:443"}, origin("10.1.2.3"), False),
    ],
)
def test_the_environment_decides_about_a_proxy(environ: dict[str, str], target: Origin, expected: bool) -> None:
    assert is_proxied(target, environ) is expected
    assert find("openai").transport_to(target, environ) == ("proxied" if expected else "direct")


def test_the_built_in_model_never_needs_a_proxy() -> None:
    assert find("demo").transport_to(origin("demo.invalid", 80, "http"), {"HTTP_PROXY": "http://p:1"}) == "demo"
