"""System programs that only tests need: on the path, or where `scripts/bootstrap-tests` put them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

_BOOTSTRAPPED = Path(__file__).resolve().parents[2] / ".bootstrap" / "bin"
_OF_THE_SYSTEM = ("/usr/sbin", "/sbin")
"""Where servers are, and an ordinary user's path may not lead."""


def find_program(name: str, *, package: str) -> str:
    """Path of a program; fails, naming the package that has it, where there is none. A test is never skipped."""
    folders = (str(_BOOTSTRAPPED), os.environ.get("PATH", os.defpath), *_OF_THE_SYSTEM)
    found = shutil.which(name, path=os.pathsep.join(folders))
    if found is None:
        raise FileNotFoundError(
            f"The tests need `{name}`: install the package {package}, or run scripts/bootstrap-tests."
        )
    return found
