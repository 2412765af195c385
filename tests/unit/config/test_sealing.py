from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Any

import pytest

from tollway.config.sealing import CannotOpen, Sealer, is_sealed, sealed_texts
from tollway.config.secret import Secret

PLACE = ("models", "id-1")


@pytest.fixture
async def sealer() -> Sealer:
    made = Sealer(lambda: "sk-salt")
    await made.ready()
    return made


def replaced(text: str, part: int, by: str) -> str:
    parts = text.split(":")
    return ":".join([*parts[:part], by, *parts[part + 1 :]])


async def test_what_was_sealed_opens_in_its_place(sealer: Sealer) -> None:
    document = {
        "api_key": Secret("sk-1"),
        "extra_headers": {"authorization": Secret("Bearer ü")},
        "list": [Secret("a"), {"b": Secret("")}],
        "model": "openai/gpt-4o",
        "temperature": 0.5,
        "reference": "os.environ/KEY",
        "nothing": None,
    }
    sealed = sealer.seal(document, *PLACE)
    assert len(list(sealed_texts(sealed))) == 4
    assert sealed["model"] == "openai/gpt-4o"
    opened = sealer.open(sealed, *PLACE)
    assert opened == document
    assert isinstance(opened["api_key"], Secret)
    assert "sk-1" not in repr(opened)


async def test_the_same_secret_is_never_sealed_alike(sealer: Sealer) -> None:
    assert sealer.seal(Secret("x"), *PLACE) != sealer.seal(Secret("x"), *PLACE)


@pytest.mark.parametrize(
    "place", [("credentials", "id-1", "api_key"), ("models", "id-2", "api_key"), (*PLACE, "other")]
)
async def test_it_opens_nowhere_else(sealer: Sealer, place: tuple[str, ...]) -> None:
    sealed = sealer.seal(Secret("x"), *PLACE, "api_key")
    with pytest.raises(CannotOpen, match="for another place"):
        sealer.open(sealed, *place)


async def test_places_are_not_run_together(sealer: Sealer) -> None:
    with pytest.raises(CannotOpen):
        sealer.open(sealer.seal(Secret("x"), "a", "bc"), "ab", "c")


async def test_another_salt_key_is_told_from_damage(sealer: Sealer) -> None:
    other = Sealer(lambda: "sk-other")
    await other.ready()
    with pytest.raises(CannotOpen, match="another salt key"):
        other.open(sealer.seal(Secret("x"), *PLACE), *PLACE)


@pytest.mark.parametrize("part", [1, 3])
@pytest.mark.parametrize("by", ["", "A", "AAAA", "????", "é", "9" * 40])
async def test_a_damaged_text_does_not_open(sealer: Sealer, part: int, by: str) -> None:
    with pytest.raises(CannotOpen):
        sealer.open(replaced(sealer.seal(Secret("x"), *PLACE), part, by), *PLACE)


async def test_every_byte_is_authenticated(sealer: Sealer) -> None:
    sealed = sealer.seal(Secret("salty"), *PLACE)  # fills its base64 to the last bit
    for index in range(len("sealed:1:"), len(sealed)):
        if sealed[index] in ":=":
            continue
        changed = sealed[:index] + ("A" if sealed[index] != "A" else "B") + sealed[index + 1 :]
        with pytest.raises(CannotOpen):
            sealer.open(changed, *PLACE)


@pytest.mark.parametrize(("value", "expected"), [("sealed:1:x", True), ("sealed", False), (None, False), (1, False)])
def test_sealed_texts_are_known_by_their_prefix(value: Any, expected: bool) -> None:
    assert is_sealed(value) is expected


def test_before_it_is_ready_nothing_opens() -> None:
    sealer = Sealer(lambda: "sk-salt")
    with pytest.raises(CannotOpen, match="no salt key"):
        sealer.open("sealed:1:0:0", *PLACE)
    with pytest.raises(RuntimeError):
        sealer.seal(Secret("x"), *PLACE)


def test_the_salt_key_is_asked_for_once_and_only_when_needed() -> None:
    asked = []

    def salt_key() -> str:
        asked.append(1)
        return "sk-salt"

    sealer = Sealer(salt_key)
    assert asked == []
    asyncio.run(sealer.ready())
    asyncio.run(sealer.ready())
    assert asked == [1]


def test_the_library_is_not_imported_before() -> None:
    program = "import sys, tollway.app.build, tollway.config.sealing; print('cryptography' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout.strip() == "False"
