"""Errors as management clients see them: `{"error": {…}}`, or FastAPI's `{"detail": …}` where the contract has that."""

from __future__ import annotations

from typing import Any, NoReturn

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from tollway.core.errors import TollwayError
from tollway.policy.access import RouteForbidden

UNEXPECTED = {"error": {"message": "Internal server error", "type": "internal_server_error"}}


def install_error_handlers(app: FastAPI) -> None:
    """Makes `app` answer our errors and invalid bodies in the contract's shapes."""

    @app.exception_handler(TollwayError)
    async def ours(_request: Request, error: TollwayError) -> JSONResponse:
        return render_error(error)

    @app.exception_handler(RequestValidationError)
    async def invalid(_request: Request, error: RequestValidationError) -> JSONResponse:
        return render_invalid(error)


def render_error(error: TollwayError) -> JSONResponse:
    """`{"error": {"message", "type", "param", "code"}}`; `code` is text."""
    if isinstance(error, RouteForbidden):
        return render_detail(error)
    body = {"message": error.message, "type": error.type, "param": error.param, "code": str(error.status)}
    return JSONResponse({"error": body}, status_code=error.status, headers=_headers(error))


def render_detail(error: TollwayError) -> JSONResponse:
    """`{"detail": message}`."""
    return JSONResponse({"detail": error.message}, status_code=error.status, headers=_headers(error))


def render_invalid(error: RequestValidationError) -> JSONResponse:
    """What is wrong where, without echoing what was sent."""
    problems = [{"type": one["type"], "loc": list(one["loc"]), "msg": one["msg"]} for one in error.errors()]
    return JSONResponse({"detail": problems}, status_code=422)


def reject_missing(field: str) -> NoReturn:
    """Refuses a body without a field that only now turns out to be needed, just as if it were declared so."""
    problem: dict[str, Any] = {"type": "missing", "loc": ("body", field), "msg": "Field required"}
    raise RequestValidationError([problem])


def _headers(error: TollwayError) -> dict[str, str]:
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in error.headers}
