from __future__ import annotations

import pytest

from tollway.core.passwords import hash_password, is_password


def test_a_password_opens_what_was_made_from_it_and_another_does_not() -> None:
    stored = hash_password("correct horse")
    assert is_password("correct horse", stored)
    assert not is_password("correct horsf", stored)


def test_two_users_with_one_password_have_nothing_in_common() -> None:
    first, second = hash_password("correct horse"), hash_password("correct horse")
    assert "correct" not in first
    assert first.split("$")[4:] != second.split("$")[4:]


@pytest.mark.parametrize(
    "stored", ["", "correct horse", "scrypt$1$2$3", "argon$16384$8$5$c2FsdA==$ZGlnZXN0", "scrypt$3$8$5$c2FsdA==$eA=="]
)
def test_what_is_not_ours_opens_nothing(stored: str) -> None:
    assert not is_password("correct horse", stored)
