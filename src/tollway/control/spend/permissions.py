"""Who may see what was spent. What of it is theirs is `visibility`'s part."""

from __future__ import annotations

from collections.abc import Mapping

from tollway.control.kit.roles import ADMIN, ANY_KEY, VIEWERS, Matrix, Roles, fields, read, write
from tollway.control.spend.schemas import CostQuestion, EndUsersQuestion, EstimateQuestion
from tollway.core.principal import Role

_GLOBAL: Roles = ANY_KEY - {Role.TEAM}
"""Those who see everything, and keys with the permission `get_spend_routes`; the handler tells which."""
_OWN: Roles = ANY_KEY
_CHARTS: Roles = VIEWERS | {Role.ORG_ADMIN, Role.TEAM_ADMIN, Role.INTERNAL_USER, Role.INTERNAL_USER_VIEWER}
_ACTIVITY: Mapping[str, Roles] = {
    "user": _OWN,
    "team": _OWN,
    "organization": _OWN,
    # Tags belong to nobody: users see what they spent under them themselves.
    "tag": _CHARTS,
    # So do customers, and their sums would tell of other people's calls.
    "customer": VIEWERS,
    "end_user": VIEWERS,
}

ACCESS: Matrix = {
    ("GET", "/spend/logs"): read(_OWN),
    ("GET", "/spend/logs/v2"): read(_OWN),
    ("GET", "/spend/logs/ui"): read(_OWN),
    ("GET", "/spend/logs/ui/{request_id}"): read(_OWN),
    ("GET", "/spend/logs/session/ui"): read(_OWN),
    ("GET", "/spend/tags"): read(_GLOBAL),
    ("GET", "/spend/users"): read(_OWN),
    ("POST", "/spend/calculate"): write(ANY_KEY, **fields(CostQuestion.model_fields, ANY_KEY)),
    ("POST", "/cost/estimate"): write(ANY_KEY, **fields(EstimateQuestion.model_fields, ANY_KEY)),
    ("GET", "/provider/budgets"): read(VIEWERS),
    ("GET", "/global/spend"): read(_GLOBAL),
    ("GET", "/global/spend/report"): read(_GLOBAL),
    ("GET", "/global/spend/logs"): read(_OWN),
    ("GET", "/global/spend/keys"): read(_GLOBAL),
    ("GET", "/global/spend/models"): read(_GLOBAL),
    ("GET", "/global/spend/teams"): read(_GLOBAL),
    ("GET", "/global/spend/provider"): read(_GLOBAL),
    ("GET", "/global/spend/tags"): read(_GLOBAL),
    ("GET", "/global/spend/all_tag_names"): read(_GLOBAL),
    ("GET", "/global/all_end_users"): read(_GLOBAL),
    ("POST", "/global/spend/end_users"): write(_GLOBAL, **fields(EndUsersQuestion.model_fields, _GLOBAL)),
    ("GET", "/global/activity"): read(_CHARTS),
    ("GET", "/global/activity/model"): read(_CHARTS),
    ("GET", "/global/activity/exceptions"): read(VIEWERS),
    ("GET", "/global/activity/exceptions/deployment"): read(VIEWERS),
    ("GET", "/global/activity/cache_hits"): read(VIEWERS),
    ("POST", "/global/spend/reset"): read(ADMIN),
    ("POST", "/global/spend/refresh"): read(ADMIN),
    **{
        ("GET", f"/{kind}/daily/activity{form}"): read(roles)
        for kind, roles in _ACTIVITY.items()
        for form in ("", "/aggregated")
    },
    ("GET", "/key/spend/report"): read(_OWN),
    ("GET", "/user/spend/report"): read(_OWN),
    ("GET", "/team/spend/report"): read(_OWN),
    ("GET", "/organization/spend/report"): read(_OWN),
    ("GET", "/team/spend/by_user"): read(_OWN),
}
