from __future__ import annotations

from typing import Any

import pytest

from tollway.config.logging_entries import open_entries, seal_entries, shown_metadata
from tollway.config.sealing import CannotOpen, Sealer, is_sealed
from tollway.core.errors import InvalidRequest
from tollway.core.reporting import place_of

PLACE = place_of("keys", "k1")


def entry(name: str = "langfuse", kind: str = "success", **variables: Any) -> dict[str, Any]:
    return {"callback_name": name, "callback_type": kind, "callback_vars": variables}


def metadata(*entries: Any, **others: Any) -> dict[str, Any]:
    return {"logging": list(entries), **others}


@pytest.fixture
async def sealer() -> Sealer:
    made = Sealer(lambda: "a salt key")
    await made.ready()
    return made


async def test_credentials_are_sealed_and_open_where_they_were_put(sealer: Sealer) -> None:
    written = metadata(entry(langfuse_secret_key="s3cr3t", turn_off_message_logging="true", depth=3), note="mine")
    sealed = seal_entries(written, {}, sealer, PLACE)
    variables = sealed["logging"][0]["callback_vars"]
    assert is_sealed(variables["langfuse_secret_key"])
    assert (variables["turn_off_message_logging"], variables["depth"], sealed["note"]) == ("true", 3, "mine")
    assert open_entries(sealed, sealer, PLACE) == written
    with pytest.raises(CannotOpen):
        open_entries(sealed, sealer, place_of("keys", "another"))


async def test_answers_mask_what_is_stored_however_it_is(sealer: Sealer) -> None:
    written = metadata(entry(langfuse_secret_key="s3cr3t", host="os.environ/HOST"), "no entry", note="mine")
    expected = metadata(entry(langfuse_secret_key="***", host="os.environ/HOST"), "no entry", note="mine")
    assert shown_metadata(written) == expected, "rows of before it was sealed"
    assert shown_metadata(seal_entries(written, {}, sealer, PLACE)) == expected
    assert shown_metadata({"logging": "text"}) == {"logging": "text"}


async def test_a_mask_that_comes_back_stands_for_what_is_stored(sealer: Sealer) -> None:
    before = seal_entries(metadata(entry(a="1", b="2"), entry("s3", a="3")), {}, sealer, PLACE)
    back = metadata(entry("s3", a="***"), entry(a="***", b="new"))
    after = seal_entries(back, before, sealer, PLACE)
    assert open_entries(after, sealer, PLACE) == metadata(entry("s3", a="3"), entry(a="1", b="new"))


@pytest.mark.parametrize("sent", [entry(a="***"), entry(kind="failure", b="***"), entry("other", b="***")])
async def test_a_mask_of_nothing_is_refused(sent: Any, sealer: Sealer) -> None:
    before = seal_entries(metadata(entry(b="2")), {}, sealer, PLACE)
    with pytest.raises(InvalidRequest, match="Send the value itself"):
        seal_entries(metadata(sent), before, sealer, PLACE)


async def test_nobody_moves_a_sealed_text(sealer: Sealer) -> None:
    before = seal_entries(metadata(entry(a="1")), {}, sealer, PLACE)
    assert seal_entries(before, before, sealer, PLACE) == before
    text = before["logging"][0]["callback_vars"]["a"]
    with pytest.raises(InvalidRequest):
        seal_entries(metadata(entry(b=text)), before, sealer, PLACE)


async def test_what_is_no_entry_stays_as_it_is(sealer: Sealer) -> None:
    no_entries: tuple[dict[str, Any], ...] = (
        metadata("text", 1, {"callback_vars": {"a": "1"}}, entry() | {"callback_vars": "x"}),
        {"logging": {}},
    )
    for odd in no_entries:
        assert seal_entries(odd, {}, sealer, PLACE) == odd
