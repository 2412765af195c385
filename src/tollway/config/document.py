"""YAML files as trees that remember where each value stands.

YAML 1.1 as PyYAML reads it, merge keys included, with three differences that spare people surprises: dates stay text
(`api_version: 2024-02-01`), so do times (`12:30` is not the number 750), and `1e-6` is a number.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import yaml

from tollway.config.located import Document, Located
from tollway.config.problem import ConfigurationError, Problem

_MERGE = "tag:yaml.org,2002:merge"
_MAPPING = "tag:yaml.org,2002:map"
_SEQUENCE = "tag:yaml.org,2002:seq"


def read_document(path: Path) -> Document:
    """Reads a file and its `include`s.

    Raises `ConfigurationError` for a file that cannot be read, is not YAML, repeats a key or is no mapping.
    """
    files: list[Path] = []
    try:
        return Document(_read(path, str(path), files), tuple(files))
    except FileNotFoundError as error:
        raise ConfigurationError([Problem(str(path), "", "there is no such file")]) from error


def _read(path: Path, name: str, files: list[Path]) -> Located:
    """One file merged with its includes. `name` is how messages call it."""
    files.append(path.resolve())
    root = _parse(_text_of(path, name), name)
    includes = root.items.get("include")
    if includes is None:
        return root
    merged = msgspec.structs.replace(root, value={key: node for key, node in root.value.items() if key != "include"})
    for include in _include_names(includes):
        target = path.parent / include.value
        if target.resolve() in files:
            raise _error(include, "include", f"{include.value} is included already")
        try:
            merged = _merge(merged, _read(target, str(target), files))
        except FileNotFoundError:
            raise _error(include, "include", f"there is no file {target}") from None
    return merged


def _include_names(node: Located) -> list[Located]:
    members = [node] if isinstance(node.value, str) else node.value
    if not isinstance(members, list) or not all(isinstance(member.value, str) for member in members):
        raise _error(node, "include", "expected a list of file names")
    return members


def _merge(first: Located, second: Located) -> Located:
    """Lists joined, mappings merged; where both say something else, the first counts."""
    if isinstance(first.value, list) and isinstance(second.value, list):
        return msgspec.structs.replace(first, value=[*first.value, *second.value])
    if isinstance(first.value, dict) and isinstance(second.value, dict):
        both = {name: _merge(node, second.value[name]) for name, node in first.value.items() if name in second.value}
        return msgspec.structs.replace(first, value={**second.value, **first.value, **both})
    return first


def _text_of(path: Path, name: str) -> str:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ConfigurationError([Problem(name, "", f"cannot be read: {error.strerror}")]) from error
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigurationError([Problem(f"{name}:{line}", "", "is not UTF-8 text")]) from error


def _parse(text: str, name: str) -> Located:
    loader = _Loader(text)
    try:
        root = loader.get_single_node()
        if root is None:
            return Located({}, name, 1)
        return _Builder(loader, name).build(root)
    except yaml.MarkedYAMLError as error:
        raise _syntax_error(error, text, name) from error
    except yaml.YAMLError as error:
        raise ConfigurationError([Problem(name, "", "holds a character that YAML does not allow")]) from error
    finally:
        loader.dispose()


def _syntax_error(error: yaml.MarkedYAMLError, text: str, name: str) -> ConfigurationError:
    mark = error.problem_mark or error.context_mark
    line = mark.line + 1 if mark else 1
    written = (text.splitlines() or [""])[min(line, len(text.splitlines())) - 1]
    if "\t" in written[: len(written) - len(written.lstrip())]:
        return ConfigurationError(
            [Problem(f"{name}:{line}", "", "is indented with a tab", "YAML is indented with spaces")]
        )
    return ConfigurationError([Problem(f"{name}:{line}", "", f"is not valid YAML: {error.problem or error.context}")])


def _error(node: Located, key: str, message: str, remedy: str = "") -> ConfigurationError:
    return ConfigurationError([Problem(node.place, key, message, remedy)])


class _Builder:
    """Makes `Located` trees of YAML nodes, and finds what YAML itself lets pass."""

    def __init__(self, loader: _Loader, file: str) -> None:
        self._loader = loader
        self._file = file
        self._built: dict[int, Located | None] = {}

    def build(self, root: yaml.Node) -> Located:
        """The tree below the document's root, which has to be a mapping."""
        problems = list(self._repeated_keys(root, set()))
        if not isinstance(root, yaml.MappingNode):
            problems.append(
                Problem(self._place(root), "", "expected a mapping (`model_list:`, `general_settings:`, …)")
            )
        if problems:
            raise ConfigurationError(problems)
        return self._located(root)

    def _place(self, node: yaml.Node) -> str:
        return f"{self._file}:{node.start_mark.line + 1}"

    def _repeated_keys(self, node: yaml.Node, seen: set[int]) -> Iterator[Problem]:
        """Looked for before merge keys are applied, which may repeat keys on purpose."""
        if id(node) in seen:
            return
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            for member in node.value:
                yield from self._repeated_keys(member, seen)
        elif isinstance(node, yaml.MappingNode):
            first_lines: dict[str, int] = {}
            for key, value in node.value:
                line = key.start_mark.line + 1
                if not isinstance(key, yaml.ScalarNode):
                    yield Problem(self._place(key), "", "a key has to be text")
                elif key.tag != _MERGE and first_lines.setdefault(key.value, line) != line:
                    first = first_lines[key.value]
                    yield Problem(self._place(key), key.value, f"is given twice; first in line {first}")
                yield from self._repeated_keys(value, seen)

    def _located(self, node: yaml.Node) -> Located:
        identity = id(node)
        if identity in self._built:
            done = self._built[identity]
            if done is None:
                raise ConfigurationError([Problem(self._place(node), "", "contains itself")])
            return done
        self._built[identity] = None
        made = Located(self._value(node), self._file, node.start_mark.line + 1)
        self._built[identity] = made
        return made

    def _value(self, node: yaml.Node) -> Any:
        if isinstance(node, yaml.MappingNode) and node.tag == _MAPPING:
            self._loader.flatten_mapping(node)
            return {key.value: self._located(value) for key, value in node.value}
        if isinstance(node, yaml.SequenceNode) and node.tag == _SEQUENCE:
            return [self._located(member) for member in node.value]
        return self._loader.construct_object(node)


_BASE: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's parser; PyYAML comes without it on a few platforms."""


class _Loader(_BASE):  # type: ignore[misc]
    """Resolves plain scalars as described at the head of this module."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {
        first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith((":timestamp", ":int", ":float"))]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int",
    re.compile(r"[-+]?(?:0b[01_]+|0o?[0-7_]+|0|[1-9][0-9_]*|0x[0-9a-fA-F_]+)$"),
    list("-+0123456789"),
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"[-+]?(?:(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*|[0-9][0-9_]*(?=[eE]))(?:[eE][-+]?[0-9]+)?|\.(?:inf|Inf|INF))$|\.(?:nan|NaN|NAN)$"
    ),
    list("-+0123456789."),
)
