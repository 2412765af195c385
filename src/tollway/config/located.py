"""Values that remember where they were written, and references to the environment among them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

REFERENCE = "os.environ/"
"""Prefix of a text that stands for an environment variable, or for a secret of that name in a secret manager."""

FILE_REFERENCE = "file/"
"""Prefix of a whole path: the text stands for what is in that file. Only files of the configuration may say so."""


class Located(msgspec.Struct, frozen=True):
    """A value and where it was written."""

    value: Any
    """A scalar, a list of `Located`, or a dict from text to `Located`."""
    file: str
    line: int
    reference: str = ""
    """The environment variable, or the file, that the value came from."""

    @property
    def place(self) -> str:
        """`config.yaml:12`; without a line where there are none."""
        return f"{self.file}:{self.line}" if self.line else self.file

    @property
    def items(self) -> dict[str, Located]:
        """The members of a mapping; nothing for anything else."""
        return self.value if isinstance(self.value, dict) else {}


class Document(msgspec.Struct, frozen=True):
    """A configuration file with everything it includes."""

    root: Located
    """A mapping."""
    files: tuple[Path, ...]
    """Every file that was read; the main one first."""


def plain(node: Located) -> Any:
    """The value without places."""
    match node.value:
        case dict() as members:
            return {name: plain(member) for name, member in members.items()}
        case list() as members:
            return [plain(member) for member in members]
        case scalar:
            return scalar


def locate(value: Any, place: str) -> Located:
    """A plain document as a tree, all of which was written at `place`."""
    match value:
        case dict() as members:
            return Located({str(name): locate(member, place) for name, member in members.items()}, place, 0)
        case list() | tuple() as members:
            return Located([locate(member, place) for member in members], place, 0)
        case scalar:
            return Located(scalar, place, 0)


def resolve(node: Located, environ: Mapping[str, str], texts: Mapping[str, str] = {}) -> Located:
    """The tree with every `os.environ/NAME` replaced by that variable, or by null where it is not set.

    `texts`: what files hold, by path, for those that a file of the configuration refers to.
    """
    match node.value:
        case dict() as members:
            value: Any = {name: resolve(member, environ, texts) for name, member in members.items()}
        case list() as members:
            value = [resolve(member, environ, texts) for member in members]
        case str() as text if text.startswith(REFERENCE):
            name = text.removeprefix(REFERENCE).strip()
            return msgspec.structs.replace(node, value=environ.get(name) or None, reference=name)
        case str() as text if is_file_reference(node):
            path = text.removeprefix(FILE_REFERENCE)
            return msgspec.structs.replace(node, value=texts.get(path) or None, reference=path)
        case _:
            return node
    return msgspec.structs.replace(node, value=value)


def is_file_reference(node: Located) -> bool:
    """Whether it stands for what is in a file. What comes from the database or the API has no line, and never does."""
    return bool(node.line) and isinstance(node.value, str) and node.value.startswith(f"{FILE_REFERENCE}/")


def leaves(node: Located) -> Iterator[Located]:
    """Everything that is no mapping and no list."""
    match node.value:
        case dict() as members:
            for member in members.values():
                yield from leaves(member)
        case list() as members:
            for member in members:
                yield from leaves(member)
        case _:
            yield node


def unset_references(node: Located) -> Iterator[Located]:
    """The places of a resolved tree whose environment variable is not set."""
    return (leaf for leaf in leaves(node) if leaf.value is None and leaf.reference)
