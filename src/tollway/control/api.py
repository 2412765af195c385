"""Assembles the management application."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import FastAPI

from tollway import __version__
from tollway.control import pages
from tollway.control.keys.routes import router as keys
from tollway.control.kit.errors import install_error_handlers
from tollway.control.models.routes import router as models
from tollway.control.openapi import RouteRow
from tollway.control.services import Services
from tollway.control.spend.routes import router as spend


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
        strict_content_type=False,  # curl without a content type is how half of all scripts call
    )
    app.state.services = services
    app.state.inference_routes = inference_routes
    install_error_handlers(app)
    for router in (keys, spend, models, pages.router):
        app.include_router(router)
    return app
