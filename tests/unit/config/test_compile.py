# ruff: noqa: E501  (tables of what is written and what comes of it)
from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import pytest

from tollway.accounting.price_book import PriceBook
from tollway.accounting.pricing import cost_nanos
from tollway.config.compile import compile_snapshot
from tollway.config.configuration import Additions, ModelEntry, combine
from tollway.config.discover import discover
from tollway.config.load import load
from tollway.config.problem import ConfigurationError, Problem
from tollway.core.snapshot import Deployment, Snapshot
from tollway.core.usage import Usage

PRICES = PriceBook.load()

Compile = Callable[..., Snapshot]


class Notices:
    def __init__(self) -> None:
        self.list: list[Problem] = []

    @property
    def text(self) -> str:
        return combine(self.list)


@pytest.fixture
def notices() -> Notices:
    return Notices()


@pytest.fixture
def compiled(tmp_path: Path, notices: Notices) -> Compile:
    def compile_text(text: str, *, discovered: Sequence[ModelEntry] = (), **environ: str) -> Snapshot:
        file = tmp_path / "config.yaml"
        file.write_text(text, encoding="utf-8")
        configuration = load(file, environ={"HOME": "/home/x"} | environ)
        return compile_snapshot(configuration, prices=PRICES, discovered=discovered, version=7, notices=notices.list)

    return compile_text


def model(params: str, info: str = "{}", name: str = "m") -> str:
    return f"model_list:\n- model_name: {name!r}\n  litellm_params: {params}\n  model_info: {info}\n"


def only(snapshot: Snapshot, name: str = "m") -> Deployment:
    (deployment,) = snapshot.groups[name].deployments
    return deployment


def headers(deployment: Deployment) -> dict[str, str]:
    return dict(deployment.endpoints["chat"].headers)


# ---- one deployment -------------------------------------------------------------------------------------------------


def test_a_deployment_is_complete(compiled: Compile) -> None:
    snapshot = compiled(
        "model_list:\n"
        "- model_name: fast\n"
        "  litellm_params:\n"
        "    model: openai/gpt-4o\n"
        "    api_key: os.environ/KEY\n"
        "    organization: org-1\n"
        "    extra_headers: {x-team: a}\n"
        "    temperature: 0.2\n"
        "    prompt_cache_key: stable\n"
        "    extra_body: {store: true}\n"
        "    additional_drop_params: [user]\n"
        "    rpm: 10\n"
        "    tpm: 1000\n"
        "    max_parallel_requests: 3\n"
        "    weight: 2\n"
        "    order: 1\n"
        "  model_info: {id: one, access_groups: [beta], colour: red}\n",
        KEY="sk-upstream",
    )
    made = only(snapshot, "fast")
    assert (made.id, made.group, made.provider, made.model, made.model_name) == (
        "one", "fast", "openai", "gpt-4o", "openai/gpt-4o",
    )  # fmt: skip
    assert made.api_base == "https://api.openai.com/v1"
    assert made.transport == "direct"
    assert made.endpoints["chat"].target == "/v1/chat/completions"
    assert headers(made)["Authorization"] == "Bearer sk-upstream"
    assert headers(made)["OpenAI-Organization"] == "org-1"
    assert headers(made)["x-team"] == "a"
    assert {name: bytes(value) for name, value in made.defaults.items()} == {
        "temperature": b"0.2",
        "prompt_cache_key": b'"stable"',
    }
    assert {name: bytes(value) for name, value in made.overrides.items()} == {"store": b"true"}
    assert "user" in made.dropped
    assert (made.rpm, made.tpm, made.parallel, made.weight, made.order) == (10, 1000, 3, 2.0, 1)
    assert (made.max_input_tokens, made.max_output_tokens, made.mode) == (128_000, 16_384, "chat")
    assert made.price.origin == "book"
    assert made.info["colour"] == "red"
    assert snapshot.groups["fast"].access_groups == {"beta"}
    assert snapshot.by_id["one"].deployments == (made,)
    assert snapshot.version == 7


def test_entries_of_one_name_share_its_calls(compiled: Compile) -> None:
    snapshot = compiled(
        "model_list:\n"
        "- {model_name: m, litellm_params: {model: openai/gpt-4o, api_key: a}}\n"
        "- {model_name: m, litellm_params: {model: groq/llama-3.1-8b-instant, api_key: b, weight: 3}}\n"
    )
    group = snapshot.groups["m"]
    assert [(one.model_name, one.weight) for one in group.deployments] == [
        ("openai/gpt-4o", None),
        ("groq/llama-3.1-8b-instant", 3.0),
    ]
    assert set(snapshot.by_id) == {one.id for one in group.deployments}


def test_each_organization_is_a_deployment_of_its_own(compiled: Compile) -> None:
    snapshot = compiled(model("{model: openai/gpt-4o, api_key: k, organization: [a, b]}"))
    deployments = snapshot.groups["m"].deployments
    assert [headers(one)["OpenAI-Organization"] for one in deployments] == ["a", "b"]
    assert len({one.id for one in deployments}) == 2


@pytest.mark.parametrize(
    ("params", "model_name"),
    [
        ("{model: openai/org/model, api_key: k}", "openai/org/model"),
        ("{model: gpt-4o, api_key: k}", "openai/gpt-4o"),
        ("{model: my-model, custom_llm_provider: groq, api_key: k}", "groq/my-model"),
        ("{model: groq/my-model, custom_llm_provider: groq, api_key: k}", "groq/my-model"),
        ("{model: org/my-model, custom_llm_provider: openai, api_key: k}", "openai/org/my-model"),
    ],
)
def test_the_provider_is_named_by_prefix_or_apart_or_known_by_the_model(
    compiled: Compile, params: str, model_name: str
) -> None:
    assert only(compiled(model(params))).model_name == model_name


def test_an_azure_deployment_takes_price_and_limits_from_its_base_model(compiled: Compile) -> None:
    params = "{model: azure/prod, api_base: 'https://x.openai.azure.com', api_version: 2024-12-01, api_key: k}"
    bare = only(compiled(model(params)))
    based = only(compiled(model(params, "{base_model: azure/gpt-4o}")))
    assert not bare.price.is_known
    assert based.price.is_known
    assert based.max_output_tokens == 16_384
    assert based.endpoints["chat"].target == "/openai/deployments/prod/chat/completions?api-version=2024-12-01"


@pytest.mark.parametrize("where", ["params", "info"])
def test_configured_prices_win_and_are_exact(compiled: Compile, where: str) -> None:
    prices = "input_cost_per_token: 1e-7, output_cost_per_token: 0.0000003"
    params, info = "model: openai/gpt-4o, api_key: k", "id: one"
    text = model(f"{{{params}, {prices}}}") if where == "params" else model(f"{{{params}}}", f"{{{info}, {prices}}}")
    made = only(compiled(text))
    assert made.price.origin == "config"
    assert cost_nanos(made.price, Usage(input_tokens=7, output_tokens=1)) == 1000
    assert "input_cost_per_token" not in made.defaults


def test_limits_of_the_configuration_win_over_the_book(compiled: Compile) -> None:
    made = only(
        compiled(
            model("{model: openai/gpt-4o, api_key: k}", "{max_tokens: 10, max_input_tokens: 20, mode: completion}")
        )
    )
    assert (made.max_input_tokens, made.max_output_tokens, made.mode) == (20, 10, "completion")


@pytest.mark.parametrize(
    ("settings", "params", "total", "first_byte", "of_stream"),
    [
        ("", "", 6000, 600, None),
        ("", ", timeout: 1200", 1200, 1200, None),
        ("", ", stream_timeout: 4", 6000, 600, 4),
        ("", ", timeout: 3, stream_timeout: 4", 3, 3, 3),
        ("litellm_settings: {request_timeout: 50}\n", "", 50, 50, None),
        ("router_settings: {timeout: 40, stream_timeout: 5}\nlitellm_settings: {request_timeout: 50}\n", "", 40, 40, 5),
        ("router_settings: {timeout: 40}\n", ", timeout: 30", 30, 30, None),
    ],
)
def test_the_nearest_timeout_counts(
    compiled: Compile, settings: str, params: str, total: float, first_byte: float, of_stream: float | None
) -> None:
    timeouts = only(compiled(settings + model(f"{{model: demo/demo{params}}}"))).timeouts
    assert (timeouts.total, timeouts.first_byte, timeouts.first_byte_of_stream) == (total, first_byte, of_stream)
    assert timeouts.connect <= timeouts.total


def test_defaults_for_all_deployments_apply_where_the_entry_is_silent(compiled: Compile) -> None:
    text = model("{model: openai/gpt-4o, api_key: k, temperature: 1}") + (
        "router_settings: {default_litellm_params: {temperature: 0, seed: 7, weight: 5}}\n"
    )
    made = only(compiled(text))
    assert {name: bytes(value) for name, value in made.defaults.items()} == {"temperature": b"1", "seed": b"7"}
    assert made.weight == 5


def test_parameters_of_other_features_never_reach_a_body(compiled: Compile) -> None:
    params = "{model: openai/gpt-4o, api_key: k, tags: [a], cooldown_time: 5, aws_region_name: x, max_retries: 1, timeout: 3}"
    assert only(compiled(model(params))).defaults == {}


def test_certificates_are_checked_unless_somebody_says_otherwise(compiled: Compile) -> None:
    def verify(text: str) -> bool | str:
        return only(compiled(text)).endpoints["chat"].origin.verify

    usual = "{model: openai/gpt-4o, api_key: k}"
    assert verify(model(usual)) is True
    assert verify(model(usual) + "litellm_settings: {ssl_verify: /ca.pem}\n") == "/ca.pem"
    assert verify(model("{model: openai/gpt-4o, api_key: k, ssl_verify: false}")) is False


def test_secrets_in_model_info_are_masked_because_it_is_listed(compiled: Compile) -> None:
    made = only(compiled(model("{model: demo/demo}", "{token: geheim, team: a}")))
    assert msgspec.json.decode(msgspec.json.encode(made.info)) == {"token": "***", "team": "a"}


# ---- what is wrong --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (model("{model: opnai/gpt-4o}"), ":3: model m: model: opnai is not a known provider; did you mean `openai/…`?"),
        (
            model("{model: some-model}"),
            ":3: model m: model: no provider is known for the model some-model; for another",
        ),
        (model("{model: x, custom_llm_provider: grok}"), ":3: model m: model: grok is not a known provider"),
        (model("{model: hosted_vllm/x}"), ":2: model m: api_base: hosted_vllm: no address is known"),
        (model("{model: openai/x, api_base: 'not a url'}"), ":3: model m: api_base: api_base of openai: not a URL"),
        (model("{model: openai/x, extra_headers: {Host: y}}"), ":3: model m: extra_headers: openai: the header Host"),
        (model("{model: openai/*}"), ":3: model m: model: openai/* matches many models, the public name only one"),
        (model("{model: openai/*}", name="a/*/b/*"), ":2: model a/*/b/*: only one `*` can be matched"),
        (model("{model: nowhere/*}", name="x/*"), ":3: model x/*: model: nowhere is not a known provider"),
    ],
)
def test_a_model_that_cannot_be_called_is_a_problem_with_its_place(compiled: Compile, text: str, expected: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        compiled(text)
    (problem,) = caught.value.problems
    assert expected in str(problem)


def test_all_wrong_models_are_told_at_once(compiled: Compile) -> None:
    with pytest.raises(ConfigurationError) as caught:
        compiled(
            "model_list:\n"
            "- {model_name: a, litellm_params: {model: nope/a}}\n"
            "- {model_name: b, litellm_params: {model: demo/demo}}\n"
            "- {model_name: c, litellm_params: {model: nope/c}}\n"
        )
    assert [problem.place.rpartition(":")[2] for problem in caught.value.problems] == ["2", "4"]


def test_wrong_models_are_left_out_where_the_operator_prefers_to_start(compiled: Compile, notices: Notices) -> None:
    snapshot = compiled(
        "model_list:\n"
        "- {model_name: a, litellm_params: {model: nope/a}}\n"
        "- {model_name: b, litellm_params: {model: demo/demo}}\n"
        "router_settings: {ignore_invalid_deployments: true}\n"
    )
    assert list(snapshot.groups) == ["b"]
    assert "model a: model: left out: nope is not a known provider" in notices.text


def test_vendors_of_a_later_release_are_left_out_by_name(compiled: Compile, notices: Notices) -> None:
    snapshot = compiled(
        "model_list:\n"
        "- {model_name: a, litellm_params: {model: watsonx/granite, region_name: eu-west-1}}\n"
        "- {model_name: 'watsonx/*', litellm_params: {model: 'watsonx/*'}}\n"
        "- {model_name: b, litellm_params: {model: demo/demo}}\n"
    )
    assert (list(snapshot.groups), snapshot.wildcards) == (["b"], ())
    assert "model a: model: left out: watsonx cannot be called yet" in notices.text
    assert "model watsonx/*: model: left out" in notices.text


def test_missing_keys_and_prices_are_named_once_and_stop_nothing(compiled: Compile, notices: Notices) -> None:
    listed = "".join(f"- {{model_name: m{n}, litellm_params: {{model: groq/unheard-of-{n}}}}}\n" for n in range(7))
    snapshot = compiled("model_list:\n" + listed)
    assert len(snapshot.groups) == 7
    assert notices.text.count("calls will fail: groq: no API key") == 1
    assert "m0, m1, m2, m3, m4 and 2 more" in notices.text
    assert notices.text.count("no price is known") == 1


def test_notices_are_logged_as_one_warning_where_nobody_takes_them(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "c.yaml").write_text(model("{model: sagemaker/x}"))
    with caplog.at_level(logging.WARNING, "tollway.config"):
        compile_snapshot(load(tmp_path / "c.yaml", environ={}), prices=PRICES, version=1)
    (record,) = caplog.records
    assert "left out: sagemaker" in record.getMessage()


# ---- names that match many ------------------------------------------------------------------------------------------


def expand(snapshot: Snapshot, name: str) -> str | None:
    """What a name leads to, as the router asks: most specific pattern first."""
    for wildcard in snapshot.wildcards:
        group = wildcard.expand(name)
        if group is not None:
            assert group.name == name
            return group.deployments[0].model_name
    return None


def test_a_pattern_is_specialised_for_each_name(compiled: Compile) -> None:
    snapshot = compiled(model("{model: openai/*, api_key: k, temperature: 0}", "{access_groups: [x]}", name="openai/*"))
    (wildcard,) = snapshot.wildcards
    group = wildcard.expand("openai/gpt-4o-mini")
    assert group is not None
    (made,) = group.deployments
    assert (made.group, made.model, made.max_output_tokens) == ("openai/gpt-4o-mini", "gpt-4o-mini", 16_384)
    assert made.price == PRICES.find("openai", "gpt-4o-mini").price  # type: ignore[union-attr]
    assert group.access_groups == {"x"}
    assert "openai/gpt-4o" in wildcard.examples
    assert "openai/dall-e-3" not in wildcard.examples


@pytest.mark.parametrize("name", ["openai/", "openai/*", "groq/x", "openai"])
def test_a_name_that_stands_for_nothing_leads_nowhere(compiled: Compile, name: str) -> None:
    snapshot = compiled(model("{model: openai/*, api_key: k}", name="openai/*"))
    assert expand(snapshot, name) is None


def test_the_most_specific_pattern_comes_first(compiled: Compile) -> None:
    snapshot = compiled(
        "model_list:\n"
        "- {model_name: '*', litellm_params: {model: 'openrouter/*', api_key: k}}\n"
        "- {model_name: 'gpt-*', litellm_params: {model: 'openai/gpt-*', api_key: k}}\n"
        "- {model_name: 'gpt-4*', litellm_params: {model: groq/fixed, api_key: k}}\n"
    )
    assert [wildcard.pattern for wildcard in snapshot.wildcards] == ["gpt-4*", "gpt-*", "*"]
    assert expand(snapshot, "gpt-4o") == "groq/fixed"
    assert expand(snapshot, "gpt-3.5-turbo") == "openai/gpt-3.5-turbo"
    assert expand(snapshot, "a/b") == "openrouter/a/b"


def test_a_star_for_everything_reads_the_provider_from_the_name(compiled: Compile) -> None:
    snapshot = compiled(model("{model: '*'}", name="*"), OPENAI_API_KEY="k", GROQ_API_KEY="k")
    assert expand(snapshot, "groq/llama") == "groq/llama"
    assert expand(snapshot, "gpt-4o") == "openai/gpt-4o"
    assert expand(snapshot, "who-knows") is None
    assert expand(snapshot, "sagemaker/claude") is None


# ---- other names ----------------------------------------------------------------------------------------------------

TWO = "model_list:\n- {model_name: real, litellm_params: {model: demo/demo}}\n- {model_name: 'w/*', litellm_params: {model: 'groq/*', api_key: k}}\n"


def test_aliases_lead_to_their_end_and_some_are_hidden(compiled: Compile, notices: Notices) -> None:
    snapshot = compiled(
        TWO + "router_settings:\n  model_group_alias: {a: real, b: {model: a, hidden: true}, c: w/x, d: raal}\n"
    )
    assert snapshot.aliases == {"a": "real", "b": "real", "c": "w/x", "d": "raal"}
    assert snapshot.hidden == {"b"}
    assert (
        ":5: router_settings.model_group_alias.d: leads to raal, which no model is called; did you mean `real`?"
        in notices.text
    )
    assert "alias.c" not in notices.text


def test_aliases_in_a_circle_are_a_problem(compiled: Compile) -> None:
    with pytest.raises(ConfigurationError, match=r"model_group_alias\.a: leads back to itself"):
        compiled(TWO + "router_settings: {model_group_alias: {a: b, b: a}}\n")


# ---- without a file -------------------------------------------------------------------------------------------------


def zero(*, local: Sequence[str] = (), **environ: str) -> Snapshot:
    return compile_snapshot(
        load(environ=environ), prices=PRICES, discovered=discover(environ, local_models=local), version=1, notices=[]
    )


def test_with_nothing_at_all_there_is_the_demo_model_for_free() -> None:
    snapshot = zero()
    assert list(snapshot.groups) == ["demo"]
    demo = only(snapshot, "demo")
    assert demo.transport == "demo"
    assert demo.price.is_known
    assert cost_nanos(demo.price, Usage(input_tokens=1000, output_tokens=1000)) == 0
    assert snapshot.wildcards == ()


def test_keys_in_the_environment_make_prefixed_and_bare_names_work() -> None:
    snapshot = zero(OPENAI_API_KEY="sk-o", GROQ_API_KEY="gsk")
    assert expand(snapshot, "gpt-4o") == "openai/gpt-4o"
    assert expand(snapshot, "openai/gpt-4o") == "openai/gpt-4o"
    assert expand(snapshot, "groq/llama-3.1-8b-instant") == "groq/llama-3.1-8b-instant"
    assert expand(snapshot, "mistral/mistral-large-latest") is None
    assert expand(snapshot, "claude-sonnet-4-5") is None


def test_listings_show_the_bare_names_that_work() -> None:
    examples = {wildcard.pattern: wildcard.examples for wildcard in zero(OPENAI_API_KEY="k").wildcards}
    assert "gpt-4o" in examples["*"]
    assert "openai/gpt-4o" not in examples["openai/*"]


def test_models_of_a_local_server_are_there_under_both_names() -> None:
    snapshot = zero(local=["llama3.2:1b"])
    assert only(snapshot, "llama3.2:1b").model_name == "ollama/llama3.2:1b"
    assert only(snapshot, "ollama/llama3.2:1b").price.is_known


def test_what_was_discovered_yields_to_a_model_list(compiled: Compile) -> None:
    discovered = discover({"OPENAI_API_KEY": "k"})
    listed = compiled(model("{model: openai/gpt-4o, api_key: k}"), discovered=discovered)
    assert (list(listed.groups), listed.wildcards) == (["m"], ())
    without = compiled("general_settings: {port: 1}\n", discovered=discovered)
    assert list(without.groups) == ["demo"]
    assert [wildcard.pattern for wildcard in without.wildcards] == ["openai/*", "*"]
    assert compiled("model_list: []\n", discovered=discovered).groups == {}


# ---- the model of the semantic cache --------------------------------------------------------------------------------

EMBEDDER = model("{model: openai/text-embedding-3-small, api_key: k}", name="vectors")


def semantic(name: str, models: str = EMBEDDER, more: str = "") -> str:
    params = f"{{type: local-semantic, semantic_cache_embedding_model: {name}}}"
    return f"{models}{more}litellm_settings: {{cache: true, cache_params: {params}}}\n"


@pytest.mark.parametrize(
    ("name", "models"),
    [
        ("vectors", EMBEDDER),
        ("openai/text-embedding-3-small", model("{model: openai/*, api_key: k}", name="openai/*")),
    ],
)
def test_the_semantic_cache_uses_a_model_that_is_served(compiled: Compile, name: str, models: str) -> None:
    caching = compiled(semantic(name, models)).caching
    assert caching is not None
    assert caching.likeness is not None
    assert caching.likeness.model == name


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (semantic("vektors"), "vektors is no model of this gateway; did you mean `vectors`?"),
        (semantic("c", model("{model: anthropic/claude-sonnet-4-5, api_key: k}", name="c")), "c embeds nothing"),
        (
            f"{EMBEDDER}litellm_settings: {{cache: true, cache_params: {{type: local-semantic}}}}\n",
            "text-embedding-ada-002 is no model of this gateway; name a model of `model_list`",
        ),
    ],
)
def test_another_is_named_at_the_start(compiled: Compile, text: str, expected: str) -> None:
    with pytest.raises(ConfigurationError, match="semantic_cache_embedding_model") as got:
        compiled(text)
    assert expected in str(got.value)


def test_one_that_may_be_in_the_database_stops_nothing(tmp_path: Path) -> None:
    file, told = tmp_path / "config.yaml", Notices()
    file.write_text(semantic("later", more="general_settings: {store_model_in_db: true}\n"))
    configuration = load(file, environ={"HOME": "/home/x"})
    compile_snapshot(configuration, prices=PRICES, version=1, notices=told.list)
    assert "later" not in told.text, "nobody has looked there yet"
    compile_snapshot(configuration, prices=PRICES, stored=Additions(), version=1, notices=told.list)
    assert "later is no model of this gateway" in told.text
