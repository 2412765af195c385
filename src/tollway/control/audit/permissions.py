"""Who may see who changed what."""

from __future__ import annotations

from tollway.control.kit.roles import VIEWERS, Matrix, read

ACCESS: Matrix = {
    ("GET", "/audit"): read(VIEWERS),
    ("GET", "/audit/{id}"): read(VIEWERS),
}
