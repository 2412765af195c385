from __future__ import annotations

from pathlib import Path

import pytest

from tollway.config.document import read_document
from tollway.config.located import plain, resolve, unset_references
from tollway.config.problem import ConfigurationError


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def problem_of(path: Path) -> str:
    with pytest.raises(ConfigurationError) as caught:
        read_document(path)
    assert len(caught.value.problems) == 1
    return str(caught.value.problems[0]).replace(str(path), path.name)


def test_every_value_knows_its_file_and_line(tmp_path: Path) -> None:
    path = write(tmp_path / "c.yaml", "a: 1\nb:\n  - x\n  - y: 2\n")
    root = read_document(path).root
    assert root.items["a"].place == f"{path}:1"
    assert root.items["b"].value[0].line == 3
    assert root.items["b"].value[1].items["y"].line == 4


def test_merge_keys_work_and_own_keys_win(tmp_path: Path) -> None:
    path = write(tmp_path / "c.yaml", "x-base: &base {a: 1, b: 2}\nit:\n  <<: *base\n  b: 3\nagain: *base\n")
    document = plain(read_document(path).root)
    assert document["it"] == {"a": 1, "b": 3}
    assert document["again"] == {"a": 1, "b": 2}


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("2024-02-01", "2024-02-01"),
        ("12:30", "12:30"),
        ("00:00", "00:00"),
        ("1e-6", 1e-6),
        ("2.5e-06", 2.5e-6),
        (".5", 0.5),
        ("-3", -3),
        ("1_000", 1000),
        ("0x10", 16),
        ("on", True),
        ("No", False),
        ("~", None),
        ("", None),
        ("1.2.3", "1.2.3"),
        ("'7'", "7"),
    ],
)
def test_plain_scalars_mean_what_people_mean(tmp_path: Path, written: str, value: object) -> None:
    assert plain(read_document(write(tmp_path / "c.yaml", f"a: {written}\n")).root) == {"a": value}


def test_an_empty_file_is_an_empty_configuration(tmp_path: Path) -> None:
    assert plain(read_document(write(tmp_path / "c.yaml", "# nothing\n")).root) == {}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("- a\n- b\n", "c.yaml:1: expected a mapping"),
        ("a: 1\nb: 2\na: 3\n", "c.yaml:3: a: is given twice; first in line 1"),
        ("a:\n\tb: 1\n", "c.yaml:2: is indented with a tab; YAML is indented with spaces"),
        ("a: [1, 2\nb: 3\n", "c.yaml:2: is not valid YAML"),
        ("a: !!python/object:os.system x\n", "c.yaml:1: is not valid YAML"),
        ("a: *nowhere\n", "c.yaml:1: is not valid YAML"),
        ("a: &a [*a]\n", "c.yaml:1: contains itself"),
        ("? [x]\n: 1\n", "c.yaml:1: a key has to be text"),
        ("a: \x01\n", "c.yaml: holds a character that YAML does not allow"),
        ("include: [nowhere.yaml]\n", "c.yaml:1: include: there is no file"),
        ("x: 1\ninclude: {a: 1}\n", "c.yaml:2: include: expected a list of file names"),
        ("include: c.yaml\n", "c.yaml:1: include: c.yaml is included already"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, text: str, expected: str) -> None:
    assert problem_of(write(tmp_path / "c.yaml", text)).startswith(expected)


def test_a_file_that_is_not_there_and_one_that_is_not_text_are_named(tmp_path: Path) -> None:
    assert problem_of(tmp_path / "no.yaml") == "no.yaml: there is no such file"
    assert problem_of(tmp_path).endswith("cannot be read: Is a directory")
    (tmp_path / "latin.yaml").write_bytes("a: 1\nb: Größe\n".encode("latin-1"))
    assert problem_of(tmp_path / "latin.yaml") == "latin.yaml:2: is not UTF-8 text"


def test_includes_join_lists_and_merge_mappings_and_the_including_file_wins(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    write(tmp_path / "parts/more.yaml", "include: deep.yaml\nmodels: [b]\nsettings: {x: 2, y: 2}\n")
    write(tmp_path / "parts/deep.yaml", "models: [c]\nextra: true\n")
    path = write(tmp_path / "c.yaml", "include: [parts/more.yaml]\nmodels: [a]\nsettings: {x: 1}\n")
    document = read_document(path)
    assert plain(document.root) == {"models": ["a", "b", "c"], "settings": {"x": 1, "y": 2}, "extra": True}
    assert [file.name for file in document.files] == ["c.yaml", "more.yaml", "deep.yaml"]
    assert document.root.items["models"].value[1].place == f"{tmp_path}/parts/more.yaml:2"


def test_references_become_values_or_null_and_remember_their_variable(tmp_path: Path) -> None:
    path = write(
        tmp_path / "c.yaml", "a: os.environ/SET\nb: [os.environ/UNSET]\nc: os.environ/EMPTY\nd: see os.environ/SET\n"
    )
    root = resolve(read_document(path).root, {"SET": "value", "EMPTY": ""})
    assert plain(root) == {"a": "value", "b": [None], "c": None, "d": "see os.environ/SET"}
    assert [(node.reference, node.line) for node in unset_references(root)] == [("UNSET", 2), ("EMPTY", 3)]
