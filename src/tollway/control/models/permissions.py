"""Who may see and change which models. A team's admins have its private ones; everything else is the proxy admin's."""

from __future__ import annotations

from tollway.control.kit.roles import ADMIN, ANY_KEY, Matrix, Roles, fields, read, write
from tollway.core.principal import Role

_ENTER: Roles = ANY_KEY - {Role.PROXY_ADMIN_VIEWER}
"""The service decides, model by model; the contract answers 403 where it says no."""
_OWNERS: Roles = ADMIN | {Role.TEAM_ADMIN}
_MODEL = fields(("model_name", "litellm_params", "model_info"), _OWNERS)

ACCESS: Matrix = {
    ("GET", "/model/info"): read(ANY_KEY),
    ("GET", "/v1/model/info"): read(ANY_KEY),
    ("GET", "/v2/model/info"): read(ANY_KEY),
    ("GET", "/model_group/info"): read(ANY_KEY),
    ("POST", "/model/new"): write(_ENTER, **_MODEL),
    ("POST", "/model/update"): write(_ENTER, **_MODEL),
    ("PATCH", "/model/{model_id}/update"): write(_ENTER, **_MODEL),
    ("POST", "/model/delete"): write(_ENTER, id=_OWNERS),
    ("POST", "/model/block"): write(_ENTER, model_id=_OWNERS),
    ("POST", "/model/unblock"): write(_ENTER, model_id=_OWNERS),
}
