from __future__ import annotations

import re

import pytest
from tests.support.litellm_database import SCHEMA

from tollway.litellm_import import rules
from tollway.litellm_import.report import Note
from tollway.litellm_import.rules import Rule, wire_fields

RULES = [rule for rule in vars(rules).values() if isinstance(rule, Rule)]


def documented() -> dict[str, set[str]]:
    tables = re.findall(r'CREATE TABLE "(\w+)" \((.*?)\n\);', SCHEMA.read_text(), re.DOTALL)
    return {name: set(re.findall(r'^  "(\w+)"', columns, re.MULTILINE)) for name, columns in tables}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.table)
def test_every_documented_column_is_known(rule: Rule) -> None:
    assert documented()[rule.table] == set(rule.columns) & documented()[rule.table]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.table)
def test_every_known_column_is_documented(rule: Rule) -> None:
    named = {*rule.fields, *rule.renamed, *rule.elsewhere, *rule.left}
    assert named <= documented()[rule.table]
    assert rule.objects <= {*rule.fields, *rule.renamed}


def test_tables_are_documented_ones() -> None:
    assert documented().keys() >= rules.READ
    assert len(rules.READ) == len(RULES) + 6


def test_every_remark_is_on_something_that_was_there() -> None:
    rule = Rule(table="t", fields=("a", "b"), objects=frozenset({"b"}), left={"c": "why"}, elsewhere=frozenset({"d"}))
    notes: list[Note] = []
    row = {"a": 0, "b": [1], "c": "x", "d": 1, "e": 2, "created_at": 3}
    assert wire_fields(rule, row, notes) == {"a": 0}
    assert [note.field for note in notes] == ["b", "c", "e"]
    assert wire_fields(rule, {"a": None, "b": {}, "c": False, "e": []}, notes) == {}
    assert len(notes) == 3
