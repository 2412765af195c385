"""Errors as management clients see them.

`{"error": {…}}`; FastAPI's `{"detail": …}` where the contract has that; and under `/management/v1` problem documents
(RFC 9457).
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, NoReturn

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from tollway.core.errors import ClientError, TollwayError, Unauthenticated
from tollway.policy.access import RouteForbidden

UNEXPECTED = {"error": {"message": "Internal server error", "type": "internal_server_error"}}


_PROBLEM_ROUTES = "/management/v1/"


class Detail(ClientError):
    """An error whose body is `{"detail": …}`, as the contract has it on some routes."""

    def __init__(self, detail: Mapping[str, Any] | str, *, status: int) -> None:
        """`detail` is shown as it is."""
        super().__init__(str(detail), status=status)
        self.detail = detail


def install_error_handlers(app: FastAPI) -> None:
    """Makes `app` answer our errors and invalid bodies in the contract's shapes."""

    @app.exception_handler(TollwayError)
    async def ours(request: Request, error: TollwayError) -> JSONResponse:
        if _has_problems(request) and not isinstance(error, Unauthenticated):  # at the door there is one shape for all
            return _problem(error.status, error.message)
        return render_error(error)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        if _has_problems(request):
            return _problem(422, "The request does not have the expected form.", errors=_problems(error))
        return render_invalid(error)


def render_error(error: TollwayError) -> JSONResponse:
    """`{"error": {"message", "type", "param", "code"}}`; `code` is text."""
    if isinstance(error, RouteForbidden):
        return render_detail(error)
    if isinstance(error, Detail):
        return JSONResponse({"detail": error.detail}, status_code=error.status)
    body = {"message": error.message, "type": error.type, "param": error.param, "code": str(error.status)}
    return JSONResponse({"error": body}, status_code=error.status, headers=_headers(error))


def render_detail(error: TollwayError) -> JSONResponse:
    """`{"detail": message}`."""
    return JSONResponse({"detail": error.message}, status_code=error.status, headers=_headers(error))


def render_invalid(error: RequestValidationError) -> JSONResponse:
    """What is wrong where, without echoing what was sent."""
    return JSONResponse({"detail": _problems(error)}, status_code=422)


def reject_missing(field: str) -> NoReturn:
    """Refuses a body without a field that only now turns out to be needed, just as if it were declared so."""
    problem: dict[str, Any] = {"type": "missing", "loc": ("body", field), "msg": "Field required"}
    raise RequestValidationError([problem])


def _headers(error: TollwayError) -> dict[str, str]:
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in error.headers}


def _problems(error: RequestValidationError) -> list[dict[str, Any]]:
    return [{"type": one["type"], "loc": list(one["loc"]), "msg": one["msg"]} for one in error.errors()]


def _has_problems(request: Request) -> bool:
    return str(getattr(request.scope.get("route"), "path", "")).startswith(_PROBLEM_ROUTES)


def _problem(status: int, detail: str, **members: Any) -> JSONResponse:
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail, **members}
    return JSONResponse(body, status_code=status, media_type="application/problem+json")
