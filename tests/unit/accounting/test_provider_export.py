from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from tollway.accounting.provider_export import Export, ExportLine, Unreadable, days_of, read_export

NEW_YEAR, NEXT = date(2026, 1, 1), date(2026, 1, 2)
MIDNIGHT = 1_767_225_600

OPENAI_COSTS = """\
start_time,end_time,start_time_iso,end_time_iso,amount_value,amount_currency,quantity,line_item,project_id
1767225600,1767312000,2026-01-01T00:00:00+00:00,2026-01-02T00:00:00+00:00,0.25,usd,10,"gpt-4o-2024-08-06, input",p
1767225600,1767312000,2026-01-01T00:00:00+00:00,2026-01-02T00:00:00+00:00,0.5,usd,10,"gpt-4o-2024-08-06, output",p
1767312000,1767398400,2026-01-02T00:00:00+00:00,2026-01-03T00:00:00+00:00,,,,,
"""
OPENAI_USAGE = """\
start_time,end_time,start_time_iso,num_model_requests,model,input_tokens,output_tokens,input_cached_tokens
1767225600,1767312000,,2,gpt-4o-2024-08-06,100,20,50
"""
ANTHROPIC_COSTS = """\
usage_date_utc,model,workspace,api_key,usage_type,context_window,token_type,cost_usd,list_price_usd
2026-01-01,Claude Haiku 4.5,Default,key,message,≤ 200k,input_no_cache,0.05,0.05
"""
ANTHROPIC_USAGE = """\
usage_date_utc,model_version,workspace,usage_input_tokens_no_cache,usage_input_tokens_cache_write_5m,\
usage_input_tokens_cache_write_1h,usage_input_tokens_cache_read,usage_output_tokens
2026-01-01 15:00,claude-haiku-4-5-20251001,Default,1,2,3,4,5
"""


def test_costs_of_openai_are_read_by_line_item() -> None:
    assert read_export(OPENAI_COSTS) == Export(
        "OpenAI costs",
        "openai",
        (
            ExportLine(NEW_YEAR, "gpt-4o-2024-08-06", Decimal("0.25"), None, None),
            ExportLine(NEW_YEAR, "gpt-4o-2024-08-06", Decimal("0.5"), None, None),
        ),
    )


def test_usage_of_openai_is_read_with_days_in_epoch_seconds() -> None:
    assert read_export(OPENAI_USAGE) == Export(
        "OpenAI usage", "openai", (ExportLine(NEW_YEAR, "gpt-4o-2024-08-06", None, 100, 20),)
    )


def test_costs_of_anthropic_are_read_with_the_names_its_console_shows() -> None:
    assert read_export("\ufeff" + ANTHROPIC_COSTS) == Export(
        "Anthropic costs", "anthropic", (ExportLine(NEW_YEAR, "Claude Haiku 4.5", Decimal("0.05"), None, None),)
    )


def test_usage_of_anthropic_counts_every_class_of_the_prompt() -> None:
    assert read_export(ANTHROPIC_USAGE) == Export(
        "Anthropic usage", "anthropic", (ExportLine(NEW_YEAR, "claude-haiku-4-5-20251001", None, 10, 5),)
    )


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("date,model,input_tokens,output_tokens,cost\n2026-01-01,m,1,2,$0.5\n\n", (Decimal("0.5"), 1, 2)),
        ("Cost, Model ,DATE\n0.5,m,2026-01-01\n", (Decimal("0.5"), None, None)),
        ("date,model,output_tokens\n2026-01-01,m,2.0\n", (None, None, 2)),
    ],
)
def test_a_csv_of_anybody_is_read_by_its_columns(text: str, line: tuple[Any, ...]) -> None:
    assert read_export(text) == Export("CSV", "", (ExportLine(NEW_YEAR, "m", *line),))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "line 1, column date: is missing"),
        ("date,cost\n", "line 1, column model: is missing"),
        ("date,model\n", "line 1, column cost or input_tokens or output_tokens: is missing"),
        ("date,model,cost\n2026-01-01,m,1\nyesterday,m,1\n", "line 3, column date: expected a date"),
        ("date,model,cost\n2026-01-01,m,dear\n", "line 2, column cost: expected an amount in dollars, found 'dear'"),
        ("date,model,cost\n2026-01-01,m,\n", "line 2, column cost: expected an amount in dollars, found ''"),
        ("date,model,cost\n2026-01-01,m,NaN\n", "line 2, column cost: expected an amount"),
        ("date,model,cost\n2026-01-01,,1\n", "line 2, column model: is empty"),
        ("date,model,cost\n2026-01-01,m\n", "line 2, column cost: expected 3 columns, found 2"),
        ("date,model,input_tokens\n2026-01-01,m,1.5\n", "line 2, column input_tokens: expected a whole number"),
        (OPENAI_COSTS.replace("usd", "eur"), "line 2, column amount_currency: expected usd, found 'eur'"),
        (OPENAI_COSTS.replace('"gpt-4o-2024-08-06, input"', ""), "line 2, column line_item: is empty; export it"),
        ("{", "line 1, column 2: "),
        ("[]", "expected an answer of the provider's API"),
        ('{"data": 1}', "data: expected a list"),
        ('{"data": [1]}', r"data\[0\]: expected an object"),
        ('{"data": [], "has_more": true}', "pages are missing"),
        ('{"data": [{"results": []}]}', r"data\[0\].start_time: expected a moment, found None"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_place(text: str, complaint: str) -> None:
    with pytest.raises(Unreadable, match=complaint):
        read_export(text)


def page(name: str, moment: object, *results: dict[str, Any], **more: object) -> dict[str, Any]:
    return {"object": "page", "data": [{name: moment, "results": list(results)}], "has_more": False, **more}


def test_costs_of_openai_come_from_its_api_in_one_page_or_many() -> None:
    result = {"amount": {"value": 0.06, "currency": "usd"}, "line_item": "gpt-4o, input"}
    line = ExportLine(NEW_YEAR, "gpt-4o", Decimal("0.06"), None, None)
    assert read_export(json.dumps(page("start_time", MIDNIGHT, result))).lines == (line,)
    pages = [page("start_time", MIDNIGHT, result, has_more=True), page("start_time", MIDNIGHT + 86_400, result)]
    assert days_of(read_export(json.dumps(pages)).lines) == (NEW_YEAR, NEXT)


def test_usage_of_openai_comes_from_its_api() -> None:
    result = {"input_tokens": 1000, "input_cached_tokens": 800, "output_tokens": 500, "model": "gpt-4o-2024-08-06"}
    export = read_export(json.dumps(page("start_time", MIDNIGHT, result)))
    assert export == Export("OpenAI usage", "openai", (ExportLine(NEW_YEAR, "gpt-4o-2024-08-06", None, 1000, 500),))


def test_costs_of_anthropic_come_from_its_api_in_cents() -> None:
    named = {"amount": "123.45", "currency": "USD", "model": "claude-haiku-4-5", "description": "x"}
    other = {"amount": "50", "currency": "USD", "model": None, "description": "Web Search Usage"}
    export = read_export(json.dumps(page("starting_at", "2026-01-01T00:00:00Z", named, other)))
    assert [(line.model, line.cost) for line in export.lines] == [
        ("claude-haiku-4-5", Decimal("1.2345")),
        ("Web Search Usage", Decimal("0.5")),
    ]


def test_usage_of_anthropic_comes_from_its_api() -> None:
    result = {
        "uncached_input_tokens": 1,
        "cache_creation": {"ephemeral_1h_input_tokens": 2, "ephemeral_5m_input_tokens": 3},
        "cache_read_input_tokens": 4,
        "output_tokens": 5,
        "model": "claude-haiku-4-5-20251001",
    }
    (line,) = read_export(json.dumps(page("starting_at", "2026-01-01T00:00:00Z", result))).lines
    assert (line.input_tokens, line.output_tokens) == (10, 5)


@pytest.mark.parametrize(
    ("results", "complaint"),
    [
        ([{"amount": {"value": "x"}, "line_item": "m"}], r"data\[0\].results\[0\].amount.value: expected an amount"),
        ([{"amount": {"value": 1, "currency": "eur"}, "line_item": "m"}], "amount.currency: expected usd"),
        ([{"amount": {"value": 1}, "line_item": None}], r"results\[0\].line_item: is empty"),
        ([{"input_tokens": 1.5, "model": "m"}], r"results\[0\].input_tokens: expected a whole number"),
        ([{"amount": {"value": 1}, "line_item": "m"}, {"input_tokens": 1, "model": "m"}], "several sorts"),
    ],
)
def test_what_an_api_would_not_say_is_told_with_its_place(results: list[dict[str, Any]], complaint: str) -> None:
    with pytest.raises(Unreadable, match=complaint):
        read_export(json.dumps(page("start_time", MIDNIGHT, *results)))
