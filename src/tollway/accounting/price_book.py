"""The price book: what is publicly known about each vendor's models.

Compiled by `scripts/prices/compile.py` from public catalogues into one compressed file in the package. Loading reads
the index alone; a model's row is decoded when it is first asked for. Providers carry the names configurations use
(`openai`, `azure`, `vertex_ai`, `bedrock`, …). Nothing here guesses: a name that is not one of a model's spellings is
None, and a price nobody published is unknown, never zero.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Sequence
from fractions import Fraction
from importlib.resources import files
from typing import Self

import msgspec

from tollway.accounting.pricing import RateClass, RateSheet, compile_price
from tollway.accounting.tool_pricing import one_price_per_search
from tollway.core.money import NANOS_PER_DOLLAR
from tollway.core.price import FREE, UNKNOWN_PRICE, Price, ToolPrices
from tollway.core.usage import ServiceTier

FREE_PROVIDERS = frozenset(
    {"demo", "hosted_vllm", "infinity", "llama_cpp", "llamafile", "lm_studio", "ollama", "ollama_chat", "sglang"}
    | {"vllm", "xinference"}
)
"""Programs that serve a model on the operator's own machine: nobody sends a bill per token. A model that such a program
only forwards (`…-cloud` of Ollama) is not free; what it costs, only the configuration can say."""

_DATA = files("tollway.accounting") / "data" / "prices.json.z"


class ModelFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One model of one provider."""

    provider: str
    model: str
    """The catalogue's own spelling, which may be shorter than the one asked for."""
    mode: str = "chat"
    """`chat`, `embedding`, `image_generation`, `audio_transcription`, …, as in `/model/info`."""
    price: Price = UNKNOWN_PRICE
    max_input_tokens: int | None = None
    max_output_tokens: int | None = None
    features: frozenset[str] = frozenset()
    """What the model is said to do: `vision`, `function_calling`, `reasoning`, `prompt_caching`, …"""
    source: str = ""
    """Catalogue and version the row comes from."""


class _Row(msgspec.Struct, frozen=True):
    """A model as stored. Prices are dollars per million tokens (`request`: per call), as exact decimals."""

    mode: str = "chat"
    rates: dict[RateClass, str] = {}
    tiers: list[tuple[int, dict[RateClass, str]]] = []
    service_tiers: dict[ServiceTier, list[tuple[int, dict[RateClass, str]]]] = {}
    """What each states, by threshold; 0 is its base."""
    web_search: str = ""
    """Dollars per thousand searches of the web."""
    file_search: str = ""
    searches_per_call: bool = False
    input: int | None = None
    output: int | None = None
    features: list[str] = []
    source: int = 0
    note: str = ""
    free: bool = False


class _Provider(msgspec.Struct):
    models: dict[str, msgspec.Raw] = {}
    aliases: dict[str, str] = {}
    """Lower-case spelling to model."""
    fallback: list[str] = []
    """Providers whose models this one resells at list price."""


class _Book(msgspec.Struct):
    providers: dict[str, msgspec.Raw]
    sources: list[str]
    as_of: str
    native: list[str]
    """Providers whose model names are their own, in the order they are asked about a bare name."""


class PriceBook:
    """Facts about models, by provider and name."""

    def __init__(self, content: bytes) -> None:
        """`content` is the compiled document, decompressed."""
        self._book = msgspec.json.decode(content, type=_Book)
        self._providers: dict[str, _Provider] = {}
        self._facts: dict[tuple[str, str], ModelFacts | None] = {}

    @classmethod
    def load(cls) -> Self:
        """The book that ships with this version."""
        return cls(zlib.decompress(_DATA.read_bytes()))

    @property
    def sources(self) -> Sequence[str]:
        """Catalogues and versions the book was compiled from."""
        return self._book.sources

    @property
    def as_of(self) -> str:
        """The day the prices were valid, ISO 8601."""
        return self._book.as_of

    def providers(self) -> Sequence[str]:
        """Names of the providers in the book, sorted."""
        return sorted(self._book.providers)

    def models(self, provider: str) -> Sequence[str]:
        """Names of a provider's own models, sorted; empty for a provider that is not in the book."""
        return sorted(self._provider(provider).models)

    def everything(self) -> Iterator[ModelFacts]:
        """Every provider's own models, in order of name. Unlike `find` it remembers nothing."""
        for provider in self.providers():
            entry = msgspec.json.decode(self._book.providers[provider], type=_Provider)
            for model in sorted(entry.models):
                yield self._read(provider, provider, model, entry.models[model])

    def find(self, provider: str, model: str) -> ModelFacts | None:
        """The model as that provider sells it: by its name, an alias, or a dated or versioned spelling of either.

        None where the catalogue does not have it. Local servers are free whatever the model.
        """
        key = (provider, model)
        try:
            return self._facts[key]
        except KeyError:
            facts = self._look_up(provider, model)
        if len(self._facts) >= _FACTS_KEPT:
            self._facts.clear()
        self._facts[key] = facts
        return facts

    def provider_of(self, model: str) -> str | None:
        """The vendor that a bare model name belongs to (`gpt-4o`, `claude-sonnet-4-5`), None if it is not plain.

        Open-weight models have no vendor: many serve them.
        """
        for brand, provider in _BRANDS:
            if brand.match(model.lower()):
                return provider
        return next((name for name in self._book.native if self._own_row(name, model)), None)

    def _look_up(self, provider: str, model: str) -> ModelFacts | None:
        if provider in FREE_PROVIDERS:
            if model.endswith(("-cloud", ":cloud")):
                return None
            return ModelFacts(provider=provider, model=model, price=FREE, source="served locally")
        for seller in (provider, *self._provider(provider).fallback):
            if found := self._own_row(seller, model):
                facts = self._facts_of(provider, seller, found)
                if facts.price.origin != "free" or seller == provider:
                    return facts
        return None

    def _own_row(self, provider: str, model: str) -> str | None:
        """The catalogue's spelling of `model` among the provider's own models."""
        entry = self._provider(provider)
        if len(model) > _LONGEST_NAME:
            return None
        if model in entry.models:
            return model
        return next((entry.aliases[name] for name in spellings(model) if name in entry.aliases), None)

    def _facts_of(self, provider: str, seller: str, model: str) -> ModelFacts:
        return self._read(provider, seller, model, self._provider(seller).models[model])

    def _read(self, provider: str, seller: str, model: str, raw: msgspec.Raw) -> ModelFacts:
        row = msgspec.json.decode(raw, type=_Row)
        source = self._book.sources[row.source]
        return ModelFacts(
            provider=provider,
            model=model,
            mode=row.mode,
            price=_price_of(row, f"{source}: {seller}/{model}{row.note and f' ({row.note})'}"),
            max_input_tokens=row.input,
            max_output_tokens=row.output,
            features=frozenset(row.features),
            source=source,
        )

    def _provider(self, name: str) -> _Provider:
        if (known := self._providers.get(name)) is not None:
            return known
        if (raw := self._book.providers.get(name)) is None:
            return _NOBODY
        entry = msgspec.json.decode(raw, type=_Provider)
        entry.aliases |= {model.lower(): model for model in entry.models}
        self._providers[name] = entry
        return entry


_NOBODY = _Provider()
_LONGEST_NAME = 256
_FACTS_KEPT = 10_000
"""Names may come from clients: the work on one and the memory of answers are bounded."""

_BRANDS: tuple[tuple[re.Pattern[str], str | None], ...] = tuple(
    (re.compile(pattern), provider)
    for pattern, provider in (
        (r"gpt-oss", None),
        (
            r"(ft:)?(gpt-|chatgpt-|o[134](-|$)|text-embedding-[3a]|davinci-|babbage-|dall-e-|tts-1|whisper-1$)",
            "openai",
        ),
        (r"claude-", "anthropic"),
        (r"gemini-", "gemini"),
        (r"grok-", "xai"),
    )
)


def _price_of(row: _Row, source: str) -> Price:
    if row.free:
        return msgspec.structs.replace(FREE, source=source)
    if not row.rates:
        return msgspec.structs.replace(UNKNOWN_PRICE, source=source)
    tiers = [(above, _per_token(rates)) for above, rates in row.tiers]
    service_tiers = {
        name: {above: _per_token(rates) for above, rates in stated} for name, stated in row.service_tiers.items()
    }
    return compile_price(
        _per_token(row.rates),
        tiers,
        service_tiers=service_tiers,
        tools=_tools_of(row) if row.web_search or row.file_search else None,
        origin="book",
        source=source,
    )


def _tools_of(row: _Row) -> ToolPrices:
    return ToolPrices(
        web_search=one_price_per_search(Fraction(row.web_search or 0) / 1000),
        file_search=round(Fraction(row.file_search or 0) * NANOS_PER_DOLLAR / 1000),
        searches_per_call=row.searches_per_call,
    )


def _per_token(rates: dict[RateClass, str]) -> RateSheet:
    return {name: Fraction(amount) / (1 if name == "request" else 1_000_000) for name, amount in rates.items()}


_SUFFIXES = re.compile(
    r"""(?:
        [-@]20\d\d-?[01]\d-?[0-3]\d        # -2024-08-06, -20241022, @20241022
      | -(?:0[1-9]|1[0-2])[0-3]\d           # -0613: month and day
      | -2[3-9](?:0[1-9]|1[0-2])            # -2411: year and month
      | -00\d                              # -001: revision
      | [-:@]latest | @default
      | (?<=-20\d{6})-v\d+(?::\d+)?        # -20241022-v2:0: how Bedrock counts its editions of a dated model
    )$""",
    re.VERBOSE,
)
_PREFIXES = re.compile(
    r"""^(?:
        models/ | publishers/[^/]+/models/                                 # Gemini, Vertex AI
      | arn:aws[^/]*:(?:foundation-model|inference-profile)/               # Bedrock
      | (?:converse|invoke)/ | (?:us|eu|ap|ca|sa|me|af|il|mx)(?:-[a-z]+)+-\d/
      | (?:us|us-gov|eu|apac|jp|au|ca|in)\.(?=[a-z0-9]+\.)                # cross-region profiles at the regional price
    )""",
    re.VERBOSE,
)
_SHORTER = (
    (re.compile(r"^(ft:[^:]+):.*$"), r"\1"),  # ft:gpt-4o-2024-08-06:org:name:id
    (_PREFIXES, ""),
    (_SUFFIXES, ""),
)


def spellings(model: str) -> Iterator[str]:
    """The name in lower case, then with what only dates or versions it taken away, one piece at a time.

    `models/gemini-2.5-flash-001` → `gemini-2.5-flash-001`, `gemini-2.5-flash`. What names another product stays
    (`-mini`, `-preview`, `:free`).
    """
    name = model.lower()
    yield name
    for pattern, kept in _SHORTER:
        while (shorter := pattern.sub(kept, name)) != name:
            name = shorter
            yield name
