"""Reads the documentation: its pages, their examples, headings and links.

An example is a fenced block. `bash`, `python` and `yaml` are run; `text` is output. A comment on the line before a
block says what to expect of it:

    <!-- status: 200, 403 -->   statuses of its `curl` commands, in order; without it all are 200
    <!-- gateway -->            a `yaml` block that the page's gateway is started with
    <!-- warns -->              a `yaml` block that starts with a warning
    <!-- stack: backup -->      run by tests/guide on the whole stack, under that name
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

CLONE = Path(__file__).resolve().parents[2]
DOCS = CLONE / "docs"
PAGES = sorted([*CLONE.glob("*.md"), *DOCS.rglob("*.md")])
GUIDES = [page for page in PAGES if page.parent in (CLONE, DOCS / "guides")]
"""Pages whose examples are run."""

_BLOCK = re.compile(
    r"^(?:<!-- (?P<expects>[^\n]*?) -->\n)?(?P<indent> *)```(?P<language>\w*)(?: title=\"(?P<title>[^\"]*)\")?\n"
    r"(?P<text>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)
_HEADING = re.compile(r"^#{1,6} (.*)$", re.MULTILINE)
_LINK = re.compile(r"(?<!`)\[[^\]\n]+\]\(([^)\s]+)\)|(?:src|srcset|href)=\"([^\"]+)\"")


@dataclass(frozen=True)
class Example:
    """A fenced block."""

    page: Path
    line: int
    language: str
    title: str
    """File name that a `yaml` block is shown under; empty if none."""
    expects: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(CLONE)}:{self.line}"

    @property
    def statuses(self) -> list[int]:
        """Statuses of its `curl` commands, where they are told."""
        found = re.fullmatch(r"status: ([\d, ]+)", self.expects)
        return [int(status) for status in found[1].split(",")] if found else []


def read_examples(page: Path) -> list[Example]:
    """Every fenced block of a page, in order."""
    text = page.read_text()
    return [
        Example(
            page=page,
            line=text.count("\n", 0, block.start()) + 1,
            language=block["language"],
            title=block["title"] or "",
            expects=block["expects"] or "",
            text=re.sub(rf"^{block['indent']}", "", block["text"], flags=re.MULTILINE),
        )
        for block in _BLOCK.finditer(text)
    ]


def on_the_stack(name: str) -> list[Example]:
    """Blocks of the guides that are run on the whole stack under that name."""
    return [example for page in GUIDES for example in read_examples(page) if example.expects == f"stack: {name}"]


def read_links(page: Path) -> list[str]:
    """Targets of a page's links and pictures, those in examples left out."""
    return [link[1] or link[2] for link in _LINK.finditer(_BLOCK.sub("", page.read_text()))]


def read_anchors(page: Path) -> set[str]:
    """What may follow `#` in a link to a page, as GitHub makes it of the headings."""
    return {_anchor(heading) for heading in _HEADING.findall(_BLOCK.sub("", page.read_text()))}


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
