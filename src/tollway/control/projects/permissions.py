"""Who may call `/project/*`, and who may set what.

A project only narrows what its team may do, so team admins make projects. What an admin above them has set on one, its
limits and whether it is blocked, is not theirs to lift.
"""

from __future__ import annotations

from tollway.control.kit.budgets import BudgetFields
from tollway.control.kit.roles import ADMIN, MANAGERS, ORG_ADMINS, USERS, VIEWERS, Matrix, fields, read, write
from tollway.control.projects.schemas import ProjectFields, ProjectIds

_LIMITS = (*BudgetFields.model_fields, "models", "model_rpm_limit", "model_tpm_limit", "object_permission")
_NEW = fields(ProjectFields.model_fields, MANAGERS) | {"budget_id": ADMIN}
_LATER = _NEW | fields((*_LIMITS, "blocked"), ORG_ADMINS) | {"budget_id": ADMIN}

ACCESS: Matrix = {
    ("POST", "/project/new"): write(MANAGERS, **_NEW, team_id=MANAGERS, project_id=MANAGERS),
    ("POST", "/project/update"): write(MANAGERS, **_LATER, project_id=MANAGERS, team_id=ADMIN),
    ("DELETE", "/project/delete"): write(MANAGERS, **fields(ProjectIds.model_fields, MANAGERS)),
    ("GET", "/project/info"): read(VIEWERS | USERS),
    ("GET", "/project/list"): read(VIEWERS | USERS),
}
