"""Nobody needs a key here, so nothing here is anybody's: what the operator marked public, and what every copy knows."""

from __future__ import annotations

from tollway.control.kit.roles import PUBLIC, Matrix

ACCESS: Matrix = {
    ("GET", "/public/model_hub"): PUBLIC,
    ("GET", "/public/model_hub/info"): PUBLIC,
    ("GET", "/public/providers"): PUBLIC,
    ("GET", "/public/providers/fields"): PUBLIC,
    ("GET", "/public/litellm_model_cost_map"): PUBLIC,
}
