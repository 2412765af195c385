"""Who may call `/budget/*`, and who may set what about a budget.

Three routes let every key in: to those who are no admins they answer 400, as the wire contract has it.
"""

from __future__ import annotations

from tollway.control.budgets.schemas import BudgetCreate, BudgetUpdate
from tollway.control.kit.roles import ADMIN, ANY_KEY, VIEWERS, Matrix, fields, read, write

ACCESS: Matrix = {
    ("POST", "/budget/new"): write(ADMIN, **fields(BudgetCreate.model_fields, ADMIN)),
    ("POST", "/budget/update"): write(ADMIN, **fields(BudgetUpdate.model_fields, ADMIN)),
    ("POST", "/budget/info"): write(VIEWERS, budgets=VIEWERS),
    ("GET", "/budget/list"): read(ANY_KEY),
    ("GET", "/budget/settings"): read(ANY_KEY),
    ("POST", "/budget/delete"): write(ANY_KEY, id=ADMIN),
    ("GET", "/management/v1/budgets"): read(VIEWERS),
}
