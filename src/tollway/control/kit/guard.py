"""The door of every management route: who is it, may they, and nothing of ours leaks if the handler breaks.

It stands before FastAPI reads the body, so that a stranger learns nothing about what a body should look like.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from typing_extensions import override

from tollway.control.kit.errors import UNEXPECTED
from tollway.control.kit.permissions import check_role, roles_of
from tollway.core.errors import GatewayFault, TollwayError
from tollway.policy.access import check_route

log = logging.getLogger(__name__)


class GuardedRoute(APIRoute):
    """A route that authenticates and authorises before anything else happens."""

    @override
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's handler behind the door."""
        handle = super().get_route_handler()

        async def guarded(request: Request) -> Response:
            try:
                await self._admit(request)
                return await handle(request)
            except GatewayFault as error:
                log.warning("%s %s: %s", request.method, self.path, error.message, exc_info=error.__cause__)
                raise
            except (TollwayError, HTTPException, RequestValidationError):
                raise
            except Exception:  # the one broad catch of this plane: logged here, never shown
                log.exception("%s %s failed", request.method, self.path)
                return JSONResponse(UNEXPECTED, status_code=500)

        return guarded

    async def _admit(self, request: Request) -> None:
        roles = roles_of(request.method, self.path)
        if roles is None:
            return
        principal = await request.app.state.services.authenticate(dict(request.scope["headers"]))
        check_role(principal, roles, path=self.path)
        check_route(principal, request.url.path)
        request.state.principal = principal
