"""One description of both planes: FastAPI knows the management routes, the inference routes are merged in."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Protocol

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from tollway.control.kit.late import late_routes
from tollway.control.kit.roles import NO_ROW, Access, Matrix

_CONVERTER = re.compile(r":\w+\}")


class RouteRow(Protocol):
    """A route outside this application, as its own table has it."""

    @property
    def method(self) -> str:
        """`GET`, `POST`."""
        ...

    @property
    def path(self) -> str:
        """With `{name}` for what varies."""
        ...

    @property
    def summary(self) -> str:
        """What it does, in a few words."""
        ...

    @property
    def role(self) -> str:
        """`public`, or who may call."""
        ...

    @property
    def schema(self) -> str | None:
        """Name of the request's schema in OpenAI's own description."""
        ...


def describe(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document of everything that is served. Made once: anybody may ask, and it takes a while."""
    if app.openapi_schema is None:
        app.openapi_schema = _describe(app)
    return app.openapi_schema


def _describe(app: FastAPI) -> dict[str, Any]:
    routes = [route.made for route in late_routes(app.routes)]
    document = get_openapi(title=app.title, version=app.version, description=app.description, routes=routes)
    rows: Sequence[RouteRow] = app.state.inference_routes
    matrix: Matrix = {(method, described(path)): access for (method, path), access in app.state.matrix.items()}
    paths: dict[str, dict[str, Any]] = {
        path: {
            method: _with_roles(matrix.get((method.upper(), path), NO_ROW), _with_summary(operation))
            for method, operation in operations.items()
        }
        for path, operations in document["paths"].items()
    }
    for row in rows:
        paths.setdefault(row.path, {})[row.method.lower()] = _describe_row(row)
    components = document.get("components", {}) | {"securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}}
    return {**document, "paths": dict(sorted(paths.items())), "components": components}


def described(path: str) -> str:
    """A route's path as the document has it: what `{name:path}` may hold is no part of it."""
    return _CONVERTER.sub("}", path)


def _describe_row(row: RouteRow) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "summary": row.summary,
        "tags": ["inference" if row.role != "public" else "health"],
        "responses": {"200": {"description": "Successful Response"}},
        "security": [] if row.role == "public" else [{"key": []}],
        "parameters": [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in _names_in(row.path)
        ],
    }
    if row.schema:
        body = {"type": "object", "title": row.schema, "additionalProperties": True}
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    return operation


def _with_summary(operation: dict[str, Any]) -> dict[str, Any]:
    """With the first sentence of its description, where FastAPI has the function's name."""
    first = re.split(r"\.(?:\s|$)", operation.get("description", ""), maxsplit=1)[0]
    return {**operation, "summary": " ".join(first.split()) or operation["summary"]}


def _with_roles(access: Access, operation: dict[str, Any]) -> dict[str, Any]:
    if access.roles is None:
        return {**operation, "security": []}
    return {**operation, "security": [{"key": []}], "x-roles": sorted(access.roles)}


def _names_in(path: str) -> list[str]:
    return [part[1:-1] for part in path.split("/") if part.startswith("{") and part.endswith("}")]
