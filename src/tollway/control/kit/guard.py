"""The door of every management route: who is it, may they, and nothing of ours leaks if the handler breaks.

It stands before FastAPI reads the body, so that a stranger learns nothing about what a body should look like.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from typing_extensions import override

from tollway.control.kit.actor import load_actor
from tollway.control.kit.errors import UNEXPECTED, render_detail
from tollway.control.kit.late import LateRouter
from tollway.control.kit.roles import Matrix, check_entry
from tollway.control.services import Services
from tollway.core.errors import ClientError, Forbidden, GatewayFault, InvalidRequest, TollwayError
from tollway.policy.access import check_route

log = logging.getLogger(__name__)


Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class GuardedRoute(APIRoute):
    """A route that authenticates and authorises before anything else happens."""

    @override
    def get_route_handler(self) -> Handler:
        """FastAPI's handler behind the door."""
        handle = super().get_route_handler()

        async def guarded(request: Request) -> Response:
            try:
                await self._admit(request)
                _check_address(request)
                return await self._answer(handle, request)
            except GatewayFault as error:
                log.warning("%s %s: %s", request.method, self.path, error.message, exc_info=error.__cause__)
                raise
            except (TollwayError, HTTPException, RequestValidationError):
                raise
            except Exception:  # the one broad catch of this plane: logged here, never shown
                log.exception("%s %s failed", request.method, self.path)
                return JSONResponse(UNEXPECTED, status_code=500)

        return guarded

    async def _answer(self, handle: Handler, request: Request) -> Response:
        return await handle(request)

    async def _admit(self, request: Request) -> None:
        matrix: Matrix = request.app.state.matrix
        access = matrix.get((request.method, self.path))
        if access is None:
            raise Forbidden(f"{request.method} {self.path} has no row in the role matrix, so nobody may call it.")
        if access.roles is None:
            return
        services: Services = request.app.state.services
        principal = await services.authenticate(dict(request.scope["headers"]))
        actor = await load_actor(services.engine, principal)
        check_entry(actor.roles, access, path=self.path, role=actor.role, user_id=actor.user_id)
        if not access.ignores_allowed_routes:
            check_route(principal, request.url.path)
        request.state.actor = actor
        request.state.access = access


class DetailRoute(GuardedRoute):
    """A route whose own errors are `{"detail": message}`, as the contract has them for tags and access groups."""

    @override
    async def _answer(self, handle: Handler, request: Request) -> Response:
        try:
            return await handle(request)
        except ClientError as error:
            return render_detail(error)


def resource_router(tag: str | None, *, route_class: type[GuardedRoute] = GuardedRoute) -> APIRouter:
    """A router for the routes of a resource, described under `tag`; without one, left out of the description."""
    return LateRouter(
        route_class=route_class,
        tags=None if tag is None else [tag],
        include_in_schema=tag is not None,
        strict_content_type=False,  # curl without a content type is how half of all scripts call
    )


def _check_address(request: Request) -> None:
    """Databases take no NUL; in a body it is `kit.body` that looks for it."""
    named = [*request.path_params.values(), *(text for pair in request.query_params.multi_items() for text in pair)]
    if any("\0" in text for text in named):
        raise InvalidRequest("The path and the query must not contain NUL.", type="bad_request_error")
