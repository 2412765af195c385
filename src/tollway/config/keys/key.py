"""The row of a key table."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from typing import Any, Literal

import msgspec

from tollway.config.kinds import Kind

Tier = Literal["T1", "T2", "T3"]
"""How many use it: commonly used, a visible minority, rare."""

Support = Literal["supported", "accepted", "later"]
"""Used by this release · nothing to do, whatever it says · known, without effect in this release."""

ENVIRONMENT_PREFIX = "TOLLWAY_"


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """One key that a configuration file may hold."""

    section: str = ""
    name: str
    """May hold `*`: a family of keys."""
    kind: Kind
    tier: Tier
    support: Support
    meaning: str
    default: Any = None
    """In the unit of the file; None where nothing applies unless given."""
    sets: str = ""
    """The field of `ServerSettings` or of the data plane's `Settings` that takes the value: `server.port`."""
    factor: int = 1
    """What one unit of the file is in units of that field."""
    flag: str = ""
    environment: tuple[str, ...] = ()
    """Variables of other programs that mean the same; they yield to the file."""
    remedy: str = ""
    """What to do instead, while the key has no effect."""
    supported_values: frozenset[str] = frozenset()
    """Where only some values have an effect in this release."""
    repeats: str = ""
    """The path of the setting that this is another place for: what that says wins."""
    is_own: bool = False
    """Tollway's; LiteLLM does not know it."""

    @property
    def path(self) -> str:
        """`general_settings.port`."""
        return f"{self.section}.{self.name}" if self.section else self.name

    @property
    def twin(self) -> str:
        """The environment variable that stands for this setting and wins over the file; empty for one that repeats
        another."""
        return "" if self.repeats else ENVIRONMENT_PREFIX + self.name.upper()


class Section(msgspec.Struct, frozen=True):
    """The keys that one mapping of the file may hold."""

    name: str
    keys: tuple[Key, ...]
    by_name: dict[str, Key]
    families: tuple[Key, ...]

    def find(self, name: str) -> Key | None:
        """The row for `name`, families included."""
        exact = self.by_name.get(name)
        if exact is not None:
            return exact
        return next((family for family in self.families if fnmatchcase(name, family.name)), None)


def section(name: str, rows: Iterable[Key]) -> Section:
    """A section of these rows."""
    keys = tuple(msgspec.structs.replace(row, section=name) for row in rows)
    return Section(name, keys, {key.name: key for key in keys}, tuple(key for key in keys if "*" in key.name))


def _with_support(support: Support) -> Callable[..., Key]:
    def row(name: str, kind: Kind, tier: Tier, meaning: str, **more: Any) -> Key:
        return Key(name=name, kind=kind, tier=tier, support=support, meaning=meaning, **more)

    return row


supported = _with_support("supported")
accepted = _with_support("accepted")
later = _with_support("later")


def own(name: str, kind: Kind, meaning: str, **more: Any) -> Key:
    """A supported key of Tollway's own."""
    return Key(name=name, kind=kind, tier="T1", support="supported", meaning=meaning, is_own=True, **more)
