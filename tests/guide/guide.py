"""Reads the user's guide: its commands, in order, under their headings."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

GUIDE = Path(__file__).with_name("QUICKREF.md")

_BLOCK = re.compile(r"^ *```(bash|python)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^(#{2,3}) (.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Command:
    """One shell command or one Python program of the guide."""

    section: str
    """The `##` heading."""
    subsection: str
    """The `###` heading, empty if none."""
    language: Literal["bash", "python"]
    text: str

    @property
    def name(self) -> str:
        """A name for test reports: what is called, or whose program it is."""
        return f"{self.method} {self.path}" if self.is_curl else f"{self.subsection}: {self.text.splitlines()[0]}"

    @property
    def is_curl(self) -> bool:
        return self.text.startswith("curl ")

    @property
    def path(self) -> str:
        """Path and query of the URL of a `curl` command."""
        [url] = [word for word in shlex.split(self.text) if word.startswith("http://")]
        return re.sub(r"^http://[^/]*", "", url)

    @property
    def method(self) -> str:
        words = shlex.split(self.text)
        return words[words.index("-X") + 1] if "-X" in words else "GET"

    @property
    def body(self) -> dict[str, Any]:
        """What a `curl` command sends as JSON."""
        words = shlex.split(self.text)
        sent: dict[str, Any] = json.loads(words[words.index("-d") + 1])
        return sent


def read_guide(page: Path = GUIDE) -> list[Command]:
    """Every command of the guide, or of another page, in its order."""
    text = page.read_text()
    commands: list[Command] = []
    headings = list(_HEADING.finditer(_without_blocks(text)))
    for block in _BLOCK.finditer(text):
        section = subsection = ""
        for heading in headings:
            if heading.start() > block.start():
                break
            if heading[1] == "##":
                section, subsection = _words(heading[2]), ""
            else:
                subsection = _words(heading[2])
        texts = [block[2]] if block[1] == "python" else _split_commands(block[2])
        language: Literal["bash", "python"] = "python" if block[1] == "python" else "bash"
        commands += [Command(section, subsection, language, text) for text in texts]
    return commands


def _without_blocks(text: str) -> str:
    """The same length, so that positions agree; comments in code are no headings."""
    return _BLOCK.sub(lambda match: " " * len(match[0]), text)


def _words(heading: str) -> str:
    """A heading without the picture in front of it."""
    return re.sub(r"^[^A-Z]*\s", "", heading) if not heading[0].isascii() else heading


def _split_commands(script: str) -> list[str]:
    commands: list[str] = []
    pending = ""
    for line in script.splitlines():
        if not pending and (not line.strip() or line.lstrip().startswith("#")):
            continue
        pending += f"{line}\n"
        if not line.endswith("\\") and _is_complete(pending):
            commands.append(pending)
            pending = ""
    return commands


def _is_complete(text: str) -> bool:
    try:
        shlex.split(text)
    except ValueError:  # an open quotation
        return False
    return True
