"""What became of every row and every setting."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import IO, Literal, NamedTuple

import msgspec

Outcome = Literal["kept", "changed", "dropped", "present", "differs"]
"""`changed`: kept, but for the fields that are named. `present`: it was there already, just so. `differs`: it was there
already, otherwise, and stays as it was."""

OUTCOMES: Sequence[Outcome] = ("kept", "changed", "dropped", "present", "differs")

_LISTED = 500
"""Different remarks that are remembered; the file has all."""
_OTHERS = ("", "", "more remarks, which the report has")


class Note(NamedTuple):
    """A remark on one field of a row."""

    field: str
    text: str
    is_kept: bool = False
    """The field is there, otherwise than it was or than it acts there."""


class Remark(msgspec.Struct):
    """One remark on however many rows."""

    count: int = 0
    example: str = ""
    """A row that it was made on."""


class Report:
    """Counts as it goes; rows are written to the file at once, and not remembered."""

    def __init__(self, file: IO[str] | None = None) -> None:
        """`file`: gets one JSON object a line."""
        self._file = file
        self.rows: dict[str, Counter[Outcome]] = {}
        """By table."""
        self.remarks: dict[tuple[str, str, str], Remark] = {}
        """By table, field and text."""

    def row(self, table: str, id: str, outcome: Outcome, notes: Sequence[Note] = ()) -> None:
        """One row, or one setting."""
        if outcome == "kept" and notes:
            outcome = "changed"
        self.rows.setdefault(table, Counter())[outcome] += 1
        for note in notes:
            self._remark(table, note.field, note.text, id)
        self._write(
            {"table": table, "id": id, "outcome": outcome, "notes": [[note.field, note.text] for note in notes]}
        )

    def table(self, table: str, rows: int, text: str) -> None:
        """A whole table that is left behind."""
        self.rows.setdefault(table, Counter())["dropped"] += rows
        self._remark(table, "", text, "", rows)
        self._write({"table": table, "id": "", "outcome": "dropped", "rows": rows, "notes": [["", text]]})

    @property
    def is_without_loss(self) -> bool:
        """Whether all rows are there as they were."""
        return not any(found[bad] for found in self.rows.values() for bad in ("changed", "dropped", "differs"))

    def _remark(self, table: str, field: str, text: str, id: str, count: int = 1) -> None:
        key = (table, field, text)
        if key not in self.remarks and len(self.remarks) >= _LISTED:
            key = _OTHERS
        remark = self.remarks.setdefault(key, Remark(example=id))
        remark.count += count

    def _write(self, line: Mapping[str, object]) -> None:
        if self._file is not None:
            self._file.write(msgspec.json.encode(line).decode() + "\n")
