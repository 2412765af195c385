"""What is wrong with a configuration, said so that it can be put right."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
from typing_extensions import override

_IS_TYPO = 0.8


class Problem(msgspec.Struct, frozen=True):
    """One thing to put right, or to know about."""

    place: str
    """`config.yaml:12`, `environment PORT`, `flag --port`."""
    key: str
    """`general_settings.port`; empty where the file itself is at fault."""
    message: str
    remedy: str = ""

    @override
    def __str__(self) -> str:
        subject = f"{self.place}: {self.key}: " if self.key else f"{self.place}: "
        return f"{subject}{self.message}" + (f"; {self.remedy}" if self.remedy else "")


class ConfigurationError(Exception):
    """The configuration cannot be used. Carries every problem found, not only the first."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        count = "1 problem" if len(self.problems) == 1 else f"{len(self.problems)} problems"
        super().__init__("\n".join((f"The configuration has {count}:", *(f"  {problem}" for problem in self.problems))))


def nearest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The known name that `name` resembles most."""
    from difflib import get_close_matches  # noqa: PLC0415  (only somebody who mistyped pays for it)

    return next(iter(get_close_matches(name, known, n=1, cutoff=cutoff)), None)


def nearest_typo(name: str, known: Iterable[str]) -> str | None:
    """The known name that `name` is most likely a slip of; None if it is rather a name we do not know."""
    return nearest(name, known, _IS_TYPO)
