"""Who may see which models there are."""

from __future__ import annotations

from tollway.control.kit.roles import ANY_KEY, Matrix, read

ACCESS: Matrix = {
    ("GET", "/model/info"): read(ANY_KEY),
    ("GET", "/v1/model/info"): read(ANY_KEY),
    ("GET", "/model_group/info"): read(ANY_KEY),
}
