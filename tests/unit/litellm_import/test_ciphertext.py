from __future__ import annotations

import sys

import pytest
from tests.support.litellm_database import SALT_KEY, encrypted, encrypted_box, encrypted_v2

from tollway.core.errors import Misconfigured
from tollway.litellm_import.ciphertext import CannotDecrypt, Opener

SECRETS = ("sk-of-a-vendor", "", "ключ 🍋", "x" * 5000)


@pytest.mark.parametrize("secret", SECRETS)
def test_every_format_that_litellm_has_had_opens(secret: str) -> None:
    written = [encrypted(secret), encrypted_v2(secret), encrypted_box(secret)]
    written += [encrypted_box(secret, is_url_safe=False) for _ in range(20)]  # some have + or / in them
    assert {Opener(SALT_KEY).open(text) for text in written} == {secret}


@pytest.mark.parametrize(
    "plain", ["openai/gpt-4o", "os.environ/OPENAI_API_KEY", "https://api.openai.com/v1", "", "gpt4"]
)
def test_what_was_never_encrypted_stays(plain: str) -> None:
    assert Opener(SALT_KEY).open(plain) == plain
    assert Opener(None).open(plain) == plain


@pytest.mark.parametrize("write", [encrypted, encrypted_v2, encrypted_box])
@pytest.mark.parametrize("salt_key", ["sk-another", None])
def test_another_salt_key_opens_nothing(write: object, salt_key: str | None) -> None:
    assert callable(write)
    with pytest.raises(CannotDecrypt):
        Opener(salt_key).open(write("secret"))


def test_damage_is_told_from_text() -> None:
    for damaged in (encrypted("secret")[:-6], "v2:gcm:", "v3:gcm:!!!"):
        with pytest.raises(CannotDecrypt):
            Opener(SALT_KEY).open(damaged)


def test_without_the_extra_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nacl.secret", None)
    with pytest.raises(Misconfigured, match=r"pip install 'tollway\[litellm-import\]'"):
        Opener(SALT_KEY).open(encrypted_box("secret"))
    assert Opener(SALT_KEY).open(encrypted("secret")) == "secret"
