"""Assembles the management application."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from fastapi import APIRouter, FastAPI

from tollway import __version__
from tollway.control import pages
from tollway.control.access_groups import permissions as access_group_permissions
from tollway.control.access_groups import routes as access_groups
from tollway.control.audit import permissions as audit_permissions
from tollway.control.audit import routes as audit
from tollway.control.budgets import permissions as budget_permissions
from tollway.control.budgets import routes as budgets
from tollway.control.cache import permissions as cache_permissions
from tollway.control.cache import routes as cache
from tollway.control.credentials import permissions as credential_permissions
from tollway.control.credentials import routes as credentials
from tollway.control.customers import permissions as customer_permissions
from tollway.control.customers import routes as customers
from tollway.control.health import permissions as health_permissions
from tollway.control.health import routes as health
from tollway.control.invitations import permissions as invitation_permissions
from tollway.control.invitations import routes as invitations
from tollway.control.keys import permissions as key_permissions
from tollway.control.keys import routes as keys
from tollway.control.keys.desk import Keys
from tollway.control.kit.errors import install_error_handlers
from tollway.control.kit.roles import Access, Matrix
from tollway.control.model_access_groups import permissions as model_access_group_permissions
from tollway.control.model_access_groups import routes as model_access_groups
from tollway.control.models import permissions as model_permissions
from tollway.control.models import routes as models
from tollway.control.openapi import RouteRow
from tollway.control.organizations import permissions as organization_permissions
from tollway.control.organizations import routes as organizations
from tollway.control.projects import permissions as project_permissions
from tollway.control.projects import routes as projects
from tollway.control.public import permissions as public_permissions
from tollway.control.public import routes as public
from tollway.control.public.catalog import Catalog
from tollway.control.services import Services
from tollway.control.sessions import permissions as session_permissions
from tollway.control.sessions import routes as sessions
from tollway.control.settings import permissions as setting_permissions
from tollway.control.settings import routes as settings
from tollway.control.spend import permissions as spend_permissions
from tollway.control.spend import routes as spend
from tollway.control.tags import permissions as tag_permissions
from tollway.control.tags import routes as tags
from tollway.control.teams import callback_routes as team_callbacks
from tollway.control.teams import member_routes as team_members
from tollway.control.teams import permissions as team_permissions
from tollway.control.teams import routes as teams
from tollway.control.teams.desk import Teams
from tollway.control.users import bulk_routes as many_users
from tollway.control.users import permissions as user_permissions
from tollway.control.users import routes as users


class Resource(NamedTuple):
    """One part of the management plane: what it serves, and to whom."""

    router: APIRouter
    access: Matrix


RESOURCES = (
    Resource(keys.router, key_permissions.ACCESS),
    Resource(organizations.router, organization_permissions.ACCESS),
    Resource(projects.router, project_permissions.ACCESS),
    Resource(budgets.router, budget_permissions.ACCESS),
    Resource(audit.router, audit_permissions.ACCESS),
    Resource(teams.router, team_permissions.ACCESS),
    Resource(team_members.router, {}),
    Resource(team_callbacks.router, {}),
    Resource(users.router, user_permissions.ACCESS),
    Resource(many_users.router, {}),
    Resource(invitations.router, invitation_permissions.ACCESS),
    Resource(spend.router, spend_permissions.ACCESS),
    Resource(models.router, model_permissions.ACCESS),
    Resource(credentials.router, credential_permissions.ACCESS),
    Resource(model_access_groups.router, model_access_group_permissions.ACCESS),
    Resource(settings.router, setting_permissions.ACCESS),
    Resource(cache.router, cache_permissions.ACCESS),
    Resource(health.router, health_permissions.ACCESS),
    Resource(sessions.router, session_permissions.ACCESS),
    Resource(customers.router, customer_permissions.ACCESS),
    Resource(tags.router, tag_permissions.ACCESS),
    Resource(access_groups.router, access_group_permissions.ACCESS),
    Resource(public.router, public_permissions.ACCESS),
    Resource(pages.router, pages.ACCESS),
)
"""Everything that is served. A new resource is one line here."""


def role_matrix() -> Matrix:
    """Every row of every resource."""
    merged: dict[tuple[str, str], Access] = {}
    for resource in RESOURCES:
        merged |= resource.access
    return merged


def create_app(services: Services, *, inference_routes: Sequence[RouteRow] = ()) -> FastAPI:
    """The management plane as one ASGI application.

    `inference_routes` are served elsewhere and only described here. Security headers, CORS and compression are the
    edge's.
    """
    app = FastAPI(
        title="Tollway",
        version=__version__,
        description="An LLM gateway: virtual keys, budgets that hold, and spend metered to the cent.",
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.services = services
    app.state.matrix = role_matrix()
    app.state.key_desk = Keys()
    app.state.team_desk = Teams()
    app.state.catalog = Catalog(lambda: services.prices)
    app.state.inference_routes = inference_routes
    install_error_handlers(app)
    for resource in RESOURCES:
        # Not `include_router`, which makes every route a second time, and at the first request: most of a second of it.
        app.router.routes.extend(resource.router.routes)
    return app
