"""Who may see what was spent."""

from __future__ import annotations

from tollway.control.kit.roles import ADMIN, ANY_KEY, Matrix, read, write
from tollway.control.spend.schemas import CostQuestion

ACCESS: Matrix = {
    ("GET", "/spend/logs"): read(ANY_KEY),
    ("POST", "/spend/calculate"): write(ANY_KEY, **dict.fromkeys(CostQuestion.model_fields, ANY_KEY)),
    ("GET", "/global/spend"): read(ADMIN),
    ("GET", "/global/spend/keys"): read(ADMIN),
    ("GET", "/global/spend/models"): read(ADMIN),
}
