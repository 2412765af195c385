"""Text that must not be shown."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from typing_extensions import override

MASK = "***"

_SECRET_NAME = re.compile(
    r"(^|_)(api_?key|key|secret|token|password|passwd|credentials?|authorization|cookie|private_key)$"
    r"|(^|_)(secret|password|access_key|api_key|authorization|credentials)_",
    re.IGNORECASE,
)
_SECRET_QUERY = re.compile(r"((?:password|passwd|token|secret|key)=)[^&]*", re.IGNORECASE)


class Secret(str):
    """A text whose `repr` is masked, so that printing the record it sits in gives nothing away.

    It is a `str` because it ends up in a header; whoever formats it on its own means to.
    """

    __slots__ = ()

    @override
    def __repr__(self) -> str:
        return repr(mask(self))


class WhollySecret(Secret):
    """One of which nothing is shown: addresses of chats are credentials to their last letter."""

    __slots__ = ()

    @override
    def __repr__(self) -> str:
        return repr(MASK)


def mask(text: str) -> str:
    """`text` as it may be shown: a URL keeps everything but its password, anything else is hidden whole."""
    if isinstance(text, WhollySecret):
        return MASK
    scheme, separator, rest = text.partition("://")
    if not separator:
        return MASK
    credentials, at, location = rest.rpartition("@")
    user, colon, _password = credentials.partition(":")
    shown = _SECRET_QUERY.sub(lambda match: match[1] + MASK, location)
    return f"{scheme}://{user}{colon and f':{MASK}'}{at}{shown}"


def is_secret_name(name: str) -> bool:
    """Whether a field of this name is expected to hold a credential (`api_key`, `Authorization`, …)."""
    return bool(_SECRET_NAME.search(name.replace("-", "_")))


def protect(value: Any, name: str = "") -> Any:
    """A copy in which every text under a secret name is a `Secret`."""
    match value:
        case Mapping():
            return {key: protect(item, name if is_secret_name(name) else str(key)) for key, item in value.items()}
        case list() | tuple():
            return [protect(item, name) for item in value]
        case str() if is_secret_name(name):
            return Secret(value)
        case _:
            return value


def masked(value: Any) -> Any:
    """A copy fit for printing: every `Secret` replaced by its mask."""
    return with_leaves(value, lambda leaf: mask(leaf) if isinstance(leaf, Secret) else leaf)


def with_leaves(value: Any, change: Callable[[Any], Any]) -> Any:
    """A copy in which everything that is no mapping and no list has been replaced by what `change` makes of it."""
    match value:
        case Mapping():
            return {key: with_leaves(item, change) for key, item in value.items()}
        case list() | tuple():
            return [with_leaves(item, change) for item in value]
        case _:
            return change(value)
