"""Which part of the world a deployment is in, by how clouds call their regions."""

from __future__ import annotations

_BEGINNINGS: dict[str, tuple[str, ...]] = {
    "eu": ("eu", "europe", "westeurope", "northeurope", "france", "germany", "sweden", "switzerland", "norway", "italy",
           "poland", "spain"),
    "us": ("us", "eastus", "westus", "centralus", "northcentralus", "southcentralus", "westcentralus"),
}  # fmt: skip
"""Of names at Amazon and Google (`eu-west-1`, `us-east5`, `europe-west4`), and at Azure (`westeurope`, `eastus2`)."""


def is_in(region: str, part: str) -> bool:
    """Whether a region is in `eu` or `us`. One that nobody named is nowhere."""
    return region.lower().replace(" ", "").startswith(_BEGINNINGS.get(part, (part,))) if region else False
