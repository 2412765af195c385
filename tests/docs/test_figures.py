"""Figures that pages state are those of the code."""

import re

import pytest
from tests.docs.pages import DOCS

from tollway.accounting import media
from tollway.core.snapshot import Settings, Timeouts
from tollway.upstream.demo.request import Behaviour

GUARANTEES = (DOCS / "guides" / "guarantees.md").read_text()
STARTED = (DOCS / "guides" / "getting-started.md").read_text()
PROVIDERS = (DOCS / "guides" / "providers.md").read_text()

NAMES = {
    "gpt-4o-mini": "`gpt-4o-mini`",
    "gpt-5-mini": "`gpt-5-mini`",
    "gpt-4.1-nano": "`gpt-4.1-nano`",
    "o4-mini": "`o4-mini`",
    "gpt-5": "`gpt-5`",
    "gpt-4-turbo": "`gpt-4-turbo`",
    "o3": "`o3`",
    "computer-use": "`computer-use`",
    "claude-sonnet-4-5": "Claude",
    "gemini-2.5-pro": "Gemini",
    "qwen3-vl": "every other model",
}


def row(name: str) -> str:
    """The row of the table of maxima that speaks of `name`."""
    [found] = [line for line in GUARANTEES.splitlines() if line.startswith("| image") and name in line]
    return found


@pytest.mark.parametrize("model", NAMES)
def test_the_maxima_of_images_are_those_that_are_reserved(model: str) -> None:
    assert row(NAMES[model]).endswith(f"| {media.image_rule(model).maximum:,} |")


def test_every_rule_for_images_has_its_row() -> None:
    assert {media.image_rule(model) for model in NAMES} >= {rule for _, rule in media.IMAGE_RULES}


def test_the_maxima_of_other_media_are_those_that_are_reserved() -> None:
    maxima = [
        media.AUDIO_MAX_TOKENS_PER_SECOND,
        media.AUDIO_REFERENCE_MAXIMUM,
        media.FILE_MAX_PAGES * media.PAGE_MAX_TOKENS,
        media.VIDEO_MAXIMUM,
    ]
    rows = [line for line in GUARANTEES.splitlines() if line.startswith(("| audio", "| file", "| video"))]
    assert [line.split("|")[-2].strip() for line in rows] == [f"{maximum:,}" for maximum in maxima]


def test_the_defaults_of_admission_are_those_of_the_settings() -> None:
    settings = Settings()
    assert f"`output_reservation_tokens` ({settings.output_reservation_tokens:,})" in GUARANTEES
    keys = (DOCS / "guides" / "virtual-keys.md").read_text()
    assert f"waits for up to {settings.budget_wait_s:g} seconds" in keys
    assert f"status {settings.budget_exceeded_status} (a setting" in keys


def test_the_timeouts_are_those_of_the_code() -> None:
    timeouts = Timeouts()
    assert f"connecting may take {timeouts.connect:g} s, the first byte {timeouts.first_byte:g} s" in PROVIDERS
    assert f"between two parts of an answer {timeouts.between_chunks:g} s" in PROVIDERS


def test_every_field_of_the_demo_model_is_told_with_its_default() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| .* \| ?(\S*) ?\|$", STARTED, re.MULTILINE))
    defaults = {name: getattr(Behaviour(), name) for name in Behaviour.__struct_fields__}
    assert rows == {name: "" if value is None else f"{value:g}" for name, value in defaults.items()}
