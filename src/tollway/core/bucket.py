"""A bucket of a storage that speaks S3, and who may use it."""

from __future__ import annotations

import msgspec
from typing_extensions import override


class Bucket(msgspec.Struct, frozen=True, kw_only=True):
    """Its `repr` tells no credential."""

    name: str
    region: str | None = None
    """None: as the environment says."""
    endpoint_url: str | None = None
    """None: Amazon's, of the region."""
    path: str = ""
    """What the names of our objects begin with."""
    is_tls: bool = True
    """Where the address does not say."""
    verify: bool | str = True
    """False: do not check certificates; text: path of a CA bundle."""
    access_key_id: str | None = None
    """None: who the environment or the machine says."""
    secret_access_key: str | None = None
    session_token: str | None = None

    @override
    def __repr__(self) -> str:
        return f"<bucket {self.name}>"
