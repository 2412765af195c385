from __future__ import annotations

import pytest

from tollway.config.secret import Secret, is_secret_name, mask, masked, protect


def test_a_secret_works_as_text_but_does_not_show_itself() -> None:
    secret = Secret("sk-very-private")
    assert f"Bearer {secret}" == "Bearer sk-very-private"
    assert "private" not in repr(secret)
    assert "private" not in repr({"key": [secret]})


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("sk-1234", "***"),
        ("postgresql://app:p@ss@db:5432/x", "postgresql://app:***@db:5432/x"),
        ("postgresql://app@db/x", "postgresql://app@db/x"),
        ("postgresql://db/x?user=a&password=geheim&sslmode=on", "postgresql://db/x?user=a&password=***&sslmode=on"),
        ("https://api.example.com/v1", "https://api.example.com/v1"),
    ],
)
def test_a_url_is_shown_without_its_password_and_anything_else_not_at_all(text: str, shown: str) -> None:
    assert mask(text) == shown


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("api_key", True),
        ("apikey", True),
        ("Authorization", True),
        ("X-Api-Key", True),
        ("aws_secret_access_key", True),
        ("azure_ad_token", True),
        ("vertex_credentials", True),
        ("max_tokens", False),
        ("model", False),
        ("rpm", False),
    ],
)
def test_names_of_credentials_are_known(name: str, expected: bool) -> None:
    assert is_secret_name(name) is expected


def test_texts_below_a_secret_name_are_protected_however_deep() -> None:
    protected = protect({"vertex_credentials": {"private_key": "a", "list": ["b"]}, "team": "c", "n": 1})
    assert masked(protected) == {"vertex_credentials": {"private_key": "***", "list": ["***"]}, "team": "c", "n": 1}
