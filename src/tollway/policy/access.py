"""Which models and routes a principal may use. Pure; patterns are compiled once per distinct list."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from tollway.core.errors import Forbidden
from tollway.core.principal import Entity, GrantKind, Principal, Role

ALL_MODELS = "all-proxy-models"
"""In a list of models: every model. (`no-default-models` needs no rule: it is the name of none.)"""


_OF_TEAM: frozenset[GrantKind] = frozenset({"team", "org"})
"""Whose lists do not name the models that a team has for itself."""


class RouteForbidden(Forbidden):
    """The key may not call this path. On the wire `{"detail": message}`, unlike every other error (contract)."""


class _Names:
    """A set of names, some of them patterns with `*`."""

    __slots__ = ("exact", "others", "prefixes")

    def __init__(self, entries: Iterable[str]) -> None:
        patterns = [entry for entry in entries if "*" in entry]
        self.exact = frozenset(entries).difference(patterns)
        self.prefixes = tuple(pattern[:-1] for pattern in patterns if pattern.index("*") == len(pattern) - 1)
        others = [pattern for pattern in patterns if pattern.index("*") < len(pattern) - 1]
        self.others = re.compile("|".join(map(_expression, others)), re.DOTALL) if others else None

    def __contains__(self, name: str) -> bool:
        return (
            name in self.exact
            or name.startswith(self.prefixes)
            or (self.others is not None and self.others.fullmatch(name) is not None)
        )


def _expression(pattern: str) -> str:
    return ".*".join(re.escape(literal) for literal in re.split(r"\*+", pattern))


@lru_cache(maxsize=4096)
def _model_names(models: frozenset[str]) -> _Names:
    return _Names(models)


def apply_alias(principal: Principal, model: str) -> str:
    """The model to use where this key says `model`."""
    return principal.aliases.get(model, model)


def allows_model(
    principal: Principal, model: str, *, access_groups: frozenset[str] = frozenset(), is_of_team: bool = False
) -> bool:
    """Whether the caller may call `model`, whose deployments belong to `access_groups`.

    `is_of_team`: it is private to the caller's team, which so needs no word of its own for it.
    """
    return principal.is_admin or all(
        covers(grant.models, model, access_groups) or (is_of_team and grant.kind in _OF_TEAM)
        for grant in principal.grants
    )


def check_model(
    principal: Principal, model: str, *, access_groups: frozenset[str] = frozenset(), is_of_team: bool = False
) -> None:
    """Raises `Forbidden` for the first owner who does not allow `model`: key, team, user, project, organization.

    The text does not tell whether the model exists, nor what others may use.
    """
    for grant in () if principal.is_admin else principal.grants:
        if not (covers(grant.models, model, access_groups) or (is_of_team and grant.kind in _OF_TEAM)):
            raise _denied(model, grant.kind)


def check_customer(customer: Entity | None, model: str, *, access_groups: frozenset[str] = frozenset()) -> None:
    """Raises `Forbidden` unless the end user may be served `model`."""
    if customer is not None and customer.models and not covers(customer.models, model, access_groups):
        raise _denied(model, "customer")


def covers(models: frozenset[str], model: str, access_groups: frozenset[str] = frozenset()) -> bool:
    """Whether a list of models, one that is not empty, allows `model`, whose deployments belong to `access_groups`."""
    return (
        model in models or ALL_MODELS in models or not models.isdisjoint(access_groups) or model in _model_names(models)
    )


def _denied(model: str, kind: GrantKind) -> Forbidden:
    return Forbidden(
        f"The requested model '{model}' is not available for {_OWNERS[kind]}, or the model name is invalid. "
        "Check the models available to you and try again.",
        param="model",
        type=f"{kind}_model_access_denied",
    )


_OWNERS: dict[GrantKind, str] = {
    "key": "this API key",
    "team": "the team of this API key",
    "user": "the user of this API key",
    "project": "the project of this API key",
    "org": "the organization of this API key",
    "customer": "this end user",
}


def check_inference(principal: Principal) -> None:
    """Raises `Forbidden` for roles that only look."""
    if principal.role is Role.PROXY_ADMIN_VIEWER:
        raise Forbidden(
            "User not allowed to access this OpenAI routes, role=proxy_admin_viewer. "
            "Use a key of a user with another role for calls."
        )


_OPENAI_ROUTES = (
    "/chat/completions",
    "/v1/chat/completions",
    "/completions",
    "/v1/completions",
    "/embeddings",
    "/v1/embeddings",
    "/engines/*",
    "/openai/deployments/*",
    "/models",
    "/models/*",
    "/v1/models",
    "/v1/models/*",
)
_MODEL_INFO_ROUTES = ("/model/info", "/v1/model/info", "/model_group/info")
_NATIVE_ROUTES = ("/utils/token_counter", "/utils/transform_request", "/utils/route")
_KEY_ROUTES = (
    "/key/generate",
    "/key/update",
    "/key/delete",
    "/key/info",
    "/key/regenerate",
    "/key/*/regenerate",
    "/key/service-account/generate",
    "/key/list",
    "/key/block",
    "/key/unblock",
    "/key/bulk_update",
    "/key/aliases",
    "/key/*/reset_spend",
    "/team/key/bulk_update",
    "/spend/logs",
    "/spend/logs/v2",
)
_MODEL_ROUTES = (
    "/model/new",
    "/model/update",
    "/model/*/update",
    "/model/delete",
    "/model/block",
    "/model/unblock",
    *_MODEL_INFO_ROUTES,
    "/v2/model/info",
)
_TEAM_ROUTES = ("/team/*", "/v2/team/list")
_USER_ROUTES = (
    "/user/new",
    "/user/update",
    "/user/bulk_update",
    "/user/delete",
    "/user/info",
    "/v2/user/info",
    "/user/list",
    "/user/filter/ui",
    "/user/available_roles",
    "/user/password/change",
    "/invitation/new",
    "/invitation/info",
    "/invitation/update",
    "/invitation/delete",
)

ROUTE_GROUPS: dict[str, tuple[str, ...]] = {
    "openai_routes": _OPENAI_ROUTES,
    "litellm_native_routes": _NATIVE_ROUTES,
    "model_info_routes": _MODEL_INFO_ROUTES,
    "llm_api_routes": (*_OPENAI_ROUTES, *_NATIVE_ROUTES, *_MODEL_INFO_ROUTES),
    "info_routes": (
        "/key/info",
        "/v2/key/info",
        "/key/health",
        "/key/list",
        "/team/info",
        "/team/list",
        "/v2/team/list",
        "/team/available",
        "/organization/list",
        "/user/info",
        "/v2/user/info",
        *_MODEL_INFO_ROUTES,
        "/v2/model/info",
        "/health",
        "/health/services",
        "/models",
        "/v1/models",
        "/user/filter/ui",
        "/sso/get/ui_settings",
    ),
    "key_management_routes": _KEY_ROUTES,
    "management_routes": (*_KEY_ROUTES, *_USER_ROUTES, *_TEAM_ROUTES, *_MODEL_ROUTES),
    "spend_tracking_routes": (
        "/spend/keys",
        "/spend/users",
        "/spend/tags",
        "/spend/calculate",
        "/spend/logs",
        "/spend/logs/v2",
        "/spend/logs/ui",
        "/key/spend/report",
        "/user/spend/report",
        "/team/spend/report",
        "/organization/spend/report",
        "/cost/estimate",
    ),
    "global_spend_tracking_routes": (
        "/global/spend",
        "/global/spend/logs",
        "/global/spend/keys",
        "/global/spend/teams",
        "/global/spend/end_users",
        "/global/spend/models",
        "/global/spend/report",
        "/global/spend/provider",
        "/global/spend/tags",
        "/global/spend/all_tag_names",
    ),
}
"""Names that stand for several routes in a list of allowed ones."""


@lru_cache(maxsize=4096)
def _route_names(allowed: tuple[str, ...]) -> _Names:
    entries: list[str] = []
    for route in allowed:
        if route in ROUTE_GROUPS:
            entries += ROUTE_GROUPS[route]
        elif "*" in route:
            entries.append(route)
        else:
            path = route.rstrip("/")
            entries += (route, path, f"{path}/*")
    return _Names(entries)


def allows_route(allowed: tuple[str, ...], path: str) -> bool:
    """Whether a list of allowed routes covers `path`; an empty one covers all.

    Entries are exact paths, prefixes of whole segments (`/v1` covers `/v1/models`), patterns with `*`, and group names.
    """
    return not allowed or path in _route_names(allowed)


def check_route(principal: Principal, path: str) -> None:
    """Raises `RouteForbidden` unless the key may call `path`."""
    if not principal.is_admin and not allows_route(principal.allowed_routes, path):
        raise RouteForbidden(
            f"This key is not allowed to call {path}. Its allowed_routes: {', '.join(principal.allowed_routes)}."
        )
