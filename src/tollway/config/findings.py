"""Checking what was written against the key tables. Collects, so that one run tells everything."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tollway.config.keys import Key, Section
from tollway.config.kinds import Kind
from tollway.config.located import Located, plain
from tollway.config.problem import Problem, nearest, nearest_typo
from tollway.config.secret import is_secret_name

_LONGEST_SHOWN = 40


class Findings:
    """Problems stop the start; notices are told once."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.notices: list[Problem] = []

    def reject(self, place: str, key: str, message: str, remedy: str = "") -> None:
        """Something has to be put right."""
        self.problems.append(Problem(place, key, message, remedy))

    def note(self, place: str, key: str, message: str, remedy: str = "") -> None:
        """Something ought to be known."""
        self.notices.append(Problem(place, key, message, remedy))

    def check_names(self, node: Located, section: Section, path: str) -> None:
        """Every key of a mapping: mistyped ones are problems, unknown and unsupported ones notices."""
        for name, member in node.items.items():
            key = section.find(name)
            full = f"{path}.{name}" if path else name
            if key is not None:
                self.note_support(key, member, full)
            elif not _is_extension(name):
                self.report_unknown(member.place, full, name, _names(section))

    def note_support(self, key: Key, node: Located, path: str) -> None:
        """Tells of a key that asks for something this release does not do."""
        if key.support == "accepted" or (key.support == "supported" and not key.supported_values):
            return
        value = plain(node)
        if not value or value == key.default or _asks_only_for(key.supported_values, value):
            return
        self.note(node.place, path, "has no effect in this release", key.remedy)

    def read(self, kind: Kind, value: Any, *, place: str, path: str, reference: str = "") -> Any:
        """The value as the program uses it; None, with a problem, where it does not fit."""
        try:
            return kind.read(value)
        except (ValueError, TypeError):
            is_hidden = kind.is_secret or is_secret_name(path.rpartition(".")[2])
            self.reject(place, path, f"expected {kind.name}, not {_show(value, reference, is_hidden=is_hidden)}")
            return None

    def read_node(self, kind: Kind, node: Located, path: str) -> Any:
        """The same for a node of a file; None where the file says null."""
        value = plain(node)
        return None if value is None else self.read(kind, value, place=node.place, path=path, reference=node.reference)

    def report_unknown(self, place: str, path: str, name: str, known: Iterable[str]) -> None:
        """A key nobody knows: a problem if it looks mistyped, else a notice."""
        known = list(known)
        if meant := nearest_typo(name, known):
            self.reject(place, path, "is not a known key", f"did you mean `{meant}`?")
            return
        similar = nearest(name, known)
        self.note(place, path, "is not a known key and has no effect", f"the nearest is `{similar}`" if similar else "")


def _names(section: Section) -> Iterable[str]:
    return section.by_name.keys()


def _is_extension(name: str) -> bool:
    """Places to keep YAML anchors in, by custom."""
    return name.startswith(("x-", ".", "_"))


def _asks_only_for(supported: frozenset[str], value: Any) -> bool:
    wanted = value if isinstance(value, list) else [value]
    return bool(supported) and all(str(item) in supported for item in wanted)


def _show(value: Any, reference: str, *, is_hidden: bool) -> str:
    """`value` in an error message, without telling a secret."""
    if reference:
        return f"what the environment variable {reference} holds"
    match value:
        case dict():
            return "a mapping"
        case list() | tuple():
            return "a list"
        case str() if is_hidden or len(value) > _LONGEST_SHOWN:
            return "this text"
        case bool():
            return str(value).lower()
        case _:
            return repr(value)
