"""Every row, looped over: a claim without a check is impossible."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

import tollway
from tollway import providers
from tollway.core.snapshot import OPERATIONS
from tollway.providers import ConnectionParams, Provider, table

SOURCE = Path(tollway.__file__).parent
EVERY = [each for name in providers.names() if (each := providers.find(name)) is not None]
PLACEHOLDERS = {"CLOUDFLARE_ACCOUNT_ID": "acc/1", "VERTEXAI_PROJECT": "p"}
PATHS: dict[str, str | tuple[str, ...]] = {
    "chat": "/chat/completions",
    "completions": "/completions",
    "embeddings": ("/embeddings", "/invoke"),
    "responses": "/responses",
    "messages": ("/messages", "/invoke", ":rawPredict"),
    "gemini": ":generateContent",
    "converse": "/converse",
    "cohere": "/v2/chat",
    "ollama": "/api/chat",
}


def params(provider: Provider, **given: object) -> ConnectionParams:
    base = (provider.base_url and {}) or {"api_base": "https://upstream.test/v1"}
    return ConnectionParams(**{"model": "m", "api_key": "sk-row", "environ": PLACEHOLDERS, **base, **given})  # type: ignore[arg-type]


@pytest.fixture(params=EVERY, ids=lambda provider: provider.name)
def provider(request: pytest.FixtureRequest) -> Provider:
    found: Provider = request.param
    return found


def test_there_are_more_than_forty_vendors() -> None:
    assert len(table.ROWS) > 40


def test_names_are_unique_and_can_stand_before_a_slash() -> None:
    names = [row.name for row in table.ROWS] + list(table.CODED) + list(table.ALIASES)
    assert [name for name, count in Counter(names).items() if count > 1] == []
    assert all(re.fullmatch(r"[a-z][a-z0-9_-]*", name) for name in names)


def test_no_environment_variable_belongs_to_two_providers() -> None:
    used = Counter(name for each in EVERY for name in (*each.key_env, *each.base_env))
    assert [name for name, count in used.items() if count > 1] == []
    assert all(re.fullmatch(r"[A-Z][A-Z0-9_]+", name) for name in used)


def test_a_row_says_where_it_is_documented(provider: Provider) -> None:
    assert provider.title
    assert provider.docs.startswith("https://") or provider.transport == "demo"
    assert re.fullmatch(r"(\d{4}-\d\d-\d\d)?", provider.checked)


def test_a_base_url_ends_without_a_slash_and_is_encrypted_unless_it_is_local(provider: Provider) -> None:
    if provider.base_url is not None:
        is_local = provider.base_url.startswith("http://127.0.0.1:") or provider.transport == "demo"
        assert provider.base_url.startswith("https://") or is_local
        assert not provider.base_url.endswith("/")


def test_a_vendor_that_wants_a_key_says_where_to_put_it(provider: Provider) -> None:
    assert provider.key_env or not provider.needs_key


def test_a_provider_without_an_address_of_its_own_has_a_variable_for_one(provider: Provider) -> None:
    assert provider.base_url or provider.base_env


def test_each_operation_has_an_endpoint_of_its_own_below_the_base(provider: Provider) -> None:
    models = ("m", "anthropic.claude-m", "amazon.titan-embed-text-v2:0")
    of_models = [provider.endpoints(params(provider, model=model)) for model in models]
    assert {operation for endpoints in of_models for operation in endpoints} == provider.operations <= set(OPERATIONS)
    for operation, endpoint in (each for endpoints in of_models for each in endpoints.items()):
        assert endpoint.target.partition("?")[0].endswith(PATHS[operation])
        assert endpoint.target.startswith("/")
        assert "//" not in endpoint.target
        assert "{" not in endpoint.target
        assert endpoint.credential is None or provider.auth == "none"  # who has no key may sign in


def test_the_key_is_in_one_header_and_nowhere_else(provider: Provider) -> None:
    for endpoint in provider.endpoints(params(provider)).values():
        headers = {name.lower(): value for name, value in endpoint.headers}
        assert headers["content-type"] == "application/json"
        assert headers["accept-encoding"] == "identity"
        assert headers["user-agent"] == f"tollway/{tollway.__version__}"
        assert "sk-row" not in endpoint.target
        places = [name for name, value in headers.items() if "sk-row" in value]
        assert places == ([] if provider.auth == "none" else places[:1])
        assert set(places) <= {"authorization", "api-key", "x-api-key", "x-goog-api-key"}
        assert len(headers) == len(endpoint.headers)


def test_the_environment_alone_is_enough_where_a_key_and_an_address_are_known(provider: Provider) -> None:
    environ = {name: f"sk-{name}" for name in provider.key_env[-1:]} | PLACEHOLDERS
    if provider.base_url is None or not provider.needs_key:
        assert provider not in providers.for_environment(environ)
        environ |= dict.fromkeys(provider.base_env[:1], "https://upstream.test/v1")
    if provider.transport == "demo":
        return
    assert provider in providers.for_environment(environ)
    assert provider.endpoints(ConnectionParams(model="m", environ=environ)).keys() <= provider.operations


def test_an_empty_environment_names_nobody() -> None:
    assert providers.for_environment({}) == ()
    assert providers.for_environment({"OPENAI_API_KEY": "  "}) == ()


def test_a_key_in_the_environment_names_its_vendor_alone() -> None:
    assert [each.name for each in providers.for_environment({"GROQ_API_KEY": "k"})] == ["groq"]


def test_aliases_lead_to_a_provider() -> None:
    for alias, name in table.ALIASES.items():
        assert providers.find(alias) is providers.find(name)
        assert providers.find(alias) is not None


def test_a_vendor_for_later_gives_its_reason_and_cannot_be_found() -> None:
    for name in table.LATER:
        assert providers.find(name) is None
        assert "later release" in (providers.planned(name) or "")
    assert providers.planned("openai") is None


def test_an_unknown_name_is_not_found() -> None:
    for name in ("", "acme", "_kit", "table", "ollama.discover", "../azure"):
        assert providers.find(name) is None
        assert providers.planned(name) is None


def test_a_row_takes_at_most_eight_lines() -> None:
    tree = ast.parse((SOURCE / "providers" / "table.py").read_text())
    rows = [
        node for node in ast.walk(tree) if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Provider"
    ]
    assert len(rows) == len(table.ROWS)
    assert max((row.end_lineno or 0) - row.lineno + 1 for row in rows) <= 8


DIALECT_NAMES = {"openai", "anthropic", "gemini", "cohere", "ollama"}
"""Vendors that give a wire format its name, and the built-in model that gives a transport its name."""


def test_a_provider_is_named_in_its_own_file_only() -> None:
    names = {each.name for each in EVERY} - DIALECT_NAMES - {"demo"}
    astray = []
    for file in SOURCE.rglob("*.py"):
        if file.parent == SOURCE / "providers" or "keys" in file.parts:
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Constant) and node.value in names:
                astray.append(f"{file.relative_to(SOURCE)}:{node.lineno}: {node.value}")
    in_prices = ("accounting/price_book.py", "control/public/cost_map.py")
    assert [line for line in astray if not line.startswith(in_prices)] == []
