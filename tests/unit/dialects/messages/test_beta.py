from __future__ import annotations

import pytest

from tollway.core.snapshot import Cloud
from tollway.dialects.messages.beta import FLAGS, filter_betas

CLAUDE_CODE = (
    "claude-code-20250219,oauth-2025-04-20,interleaved-thinking-2025-05-14,"
    "context-management-2025-06-27,prompt-caching-scope-2026-01-05,advanced-tool-use-2025-11-20,effort-2025-11-24"
)


def test_anthropic_gets_every_flag_even_those_of_tomorrow() -> None:
    assert filter_betas(f"{CLAUDE_CODE}, tomorrow-2027-01-01", "anthropic") == (
        (*CLAUDE_CODE.split(","), "tomorrow-2027-01-01"),
        (),
    )


@pytest.mark.parametrize(
    ("kind", "kept", "dropped"),
    [
        (
            "amazon",
            (
                "interleaved-thinking-2025-05-14",
                "context-management-2025-06-27",
                "tool-search-tool-2025-10-19",
                "effort-2025-11-24",
            ),
            ("claude-code-20250219", "oauth-2025-04-20", "prompt-caching-scope-2026-01-05"),
        ),
        (
            "google",
            ("interleaved-thinking-2025-05-14", "context-management-2025-06-27", "tool-search-tool-2025-10-19"),
            ("claude-code-20250219", "oauth-2025-04-20", "prompt-caching-scope-2026-01-05", "effort-2025-11-24"),
        ),
    ],
)
def test_clouds_get_what_they_take(kind: Cloud, kept: tuple[str, ...], dropped: tuple[str, ...]) -> None:
    assert filter_betas(CLAUDE_CODE, kind) == (kept, dropped)


def test_clouds_do_not_get_what_nobody_has_tried() -> None:
    assert filter_betas("tomorrow-2027-01-01", "amazon") == ((), ("tomorrow-2027-01-01",))


def test_flags_are_sent_once_and_gaps_are_none() -> None:
    assert filter_betas(" context-1m-2025-08-07 ,,context-1m-2025-08-07,", "google") == (("context-1m-2025-08-07",), ())
    assert filter_betas("", "anthropic") == ((), ())


def test_the_table_has_families_without_dates() -> None:
    assert not any(name.rpartition("-")[2].isdigit() for name in FLAGS)
