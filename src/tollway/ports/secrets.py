"""Where secrets are kept by somebody else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol


class SecretManager(Protocol):
    """Reads secrets by name."""

    async def read(self, names: Sequence[str]) -> Mapping[str, str]:
        """Those that there are, by name.

        Raises `UpstreamError` where it cannot be asked or refuses, and `Misconfigured`.
        """
        ...
