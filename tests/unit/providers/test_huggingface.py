"""How names of existing configurations become the router's."""

from __future__ import annotations

import pytest

from tollway import providers


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("together/deepseek-ai/DeepSeek-R1", "deepseek-ai/DeepSeek-R1:together"),
        ("deepseek-ai/DeepSeek-R1", "deepseek-ai/DeepSeek-R1"),
        ("deepseek-ai/DeepSeek-R1:together", "deepseek-ai/DeepSeek-R1:together"),
        ("tgi", "tgi"),
        ("a//b", "a//b"),
    ],
)
def test_the_vendor_before_a_name_becomes_its_suffix(written: str, sent: str) -> None:
    found = providers.find("huggingface")
    assert found is not None
    assert found.upstream_model(written) == sent
