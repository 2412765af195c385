"""Every route of the management plane and its bodies, read from the routers: a new one cannot be forgotten."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple, get_args, get_type_hints

from tollway.control.api import RESOURCES
from tollway.control.kit.body import Body
from tollway.control.kit.late import late_routes


class ManagementRoute(NamedTuple):
    """One method of one path."""

    method: str
    path: str
    bodies: tuple[type[Body], ...]
    """What the body may be; empty: it has none."""
    queries: tuple[str, ...]
    """Names of its query parameters."""

    def address(self, segment: str = "known") -> str:
        """The path with this, percent-encoded, wherever it varies."""
        return re.sub(r"\{\w+(:\w+)?\}", lambda _: segment, self.path)

    @property
    def varies(self) -> bool:
        """Whether the path has parameters."""
        return "{" in self.path


def management_routes() -> list[ManagementRoute]:
    """All of them, sorted."""
    return sorted(_routes(), key=lambda route: (route.path, route.method))


def _routes() -> Iterator[ManagementRoute]:
    for resource in RESOURCES:
        for late in late_routes(resource.router.routes):
            route = late.made
            kinds = [kind for hint in get_type_hints(route.endpoint).values() for kind in (hint, *get_args(hint))]
            bodies = tuple(kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Body))
            queries = tuple(parameter.alias for parameter in route.dependant.query_params)
            for method in late.methods:
                yield ManagementRoute(method, late.path, bodies, queries)


def plausible(body: type[Body]) -> dict[str, Any]:
    """The fields that a body needs, with values that can be."""
    return {name: _value(field.annotation) for name, field in body.model_fields.items() if field.is_required()}


def _value(annotation: Any) -> Any:
    text = str(annotation)
    if "list" in text:
        return ["known"]
    if annotation in (int, float):
        return 0
    return {} if "dict" in text else "known"
