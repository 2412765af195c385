"""Calls of custom tools that come as functions are turned back into their text, piece by piece."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway.dialects.responses.custom import InputReader

TEXTS = st.text(st.characters(codec="utf-8"))


def read(*pieces: str) -> str:
    reader = InputReader()
    return "".join(reader.feed(piece) for piece in pieces) + reader.end()


def split(text: str, cuts: list[int]) -> list[str]:
    edges = [0, *sorted(cuts), len(text)]
    return [text[start:end] for start, end in pairwise(edges)]


@given(TEXTS, st.booleans(), st.lists(st.integers(0, 200), max_size=8))
def test_any_text_split_anywhere_is_read_whole(text: str, is_ascii: bool, cuts: list[int]) -> None:
    arguments = json.dumps({"input": text}, ensure_ascii=is_ascii, indent=1)
    assert read(*split(arguments, cuts)) == text


@given(st.text('{}"inputabc\\u0d8e:, \n'), st.lists(st.integers(0, 60), max_size=4))
def test_whatever_is_sent_the_pieces_come_to_the_same(arguments: str, cuts: list[int]) -> None:
    assert read(*split(arguments, cuts)) == read(arguments)


def test_the_text_is_known_as_it_comes() -> None:
    reader = InputReader()
    pieces = ['{"inp', 'ut": "*** B', "egin\\", "nline \\ud83d", "\\ude00", '"}', "trailing"]
    assert [reader.feed(piece) for piece in pieces] == ["", "*** B", "egin", "\nline ", "😀", "", ""]
    assert reader.end() == ""


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ('{"other": 1, "input": "late"}', "late"),
        ('{"patch": "x"}', '{"patch": "x"}'),
        ("plain text", "plain text"),
        ("", ""),
        ('{"inpu', ""),
        ('{"input": "cut \\u00', "cut "),
        ('{"input": "bad \\x', "bad \\x"),
        ('{"input": "raw\nnewline"}', "raw\nnewline"),
        ('{"input": "zero\u200bwidth"}', "zero\u200bwidth"),
    ],
)
def test_other_shapes_lose_nothing(arguments: str, text: str) -> None:
    assert read(arguments) == text
