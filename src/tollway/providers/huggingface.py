"""Hugging Face's router, which serves models of many vendors and takes the vendor's name as a suffix.

https://huggingface.co/docs/inference-providers (checked 2026-11-24).
"""

from __future__ import annotations

from typing_extensions import override

from tollway.providers._kit import CHAT, Provider


class HuggingFace(Provider, frozen=True, kw_only=True):
    """Existing configurations write `vendor/organization/model`; the router wants `organization/model:vendor`."""

    @override
    def upstream_model(self, model: str) -> str:
        match model.split("/"):
            case [vendor, organization, name] if all((vendor, organization, name)):
                return f"{organization}/{name}:{vendor}"
            case _:
                return model


PROVIDERS = (
    HuggingFace(
        name="huggingface",
        title="Hugging Face Inference Providers",
        base_url="https://router.huggingface.co/v1",
        key_env=("HUGGINGFACE_API_KEY", "HF_TOKEN"),
        base_env=("HUGGINGFACE_API_BASE",),
        operations=CHAT,
        docs="https://huggingface.co/docs/inference-providers",
        checked="2026-11-24",
    ),
)
