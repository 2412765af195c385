"""System programs that only tests need: on the path, or where `scripts/bootstrap-tests` put them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

_BOOTSTRAPPED = Path(__file__).resolve().parents[2] / ".bootstrap" / "bin"


def find_program(name: str, *, package: str) -> str:
    """Path of a program; fails, naming the package that has it, where there is none. A test is never skipped."""
    found = shutil.which(name, path=f"{_BOOTSTRAPPED}{os.pathsep}{os.environ.get('PATH', os.defpath)}")
    if found is None:
        raise FileNotFoundError(
            f"The tests need `{name}`: install the package {package}, or run scripts/bootstrap-tests."
        )
    return found
