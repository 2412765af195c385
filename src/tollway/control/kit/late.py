"""Routes that are made when somebody asks for them.

FastAPI works out parameters, validators and answers of a route while it is declared. For all routes of this plane that
takes a second at the start and some ten megabytes for ever, and most gateways use a handful of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from typing import Any, get_args, get_type_hints

from fastapi import APIRouter
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette._utils import get_route_path
from starlette.routing import BaseRoute, Match, compile_path
from starlette.types import Receive, Scope, Send
from typing_extensions import override


class LateRoute(BaseRoute):
    """Stands for an API route, and knows of it only what tells it from others."""

    def __init__(self, path: str, endpoint: Callable[..., Any], methods: Iterable[str], make: Callable[[], APIRoute]):
        """`make` is called once, when the route is needed."""
        self.path = path
        self.endpoint = endpoint
        self.methods = frozenset(methods)
        self._regex, self.path_format, _ = compile_path(path)
        self._make = make

    @cached_property
    def made(self) -> APIRoute:
        """The route itself."""
        return self._make()

    @override
    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """As the route itself would, which is made only for a path that is its own."""
        if scope["type"] != "http" or self._regex.match(get_route_path(scope)) is None:
            return Match.NONE, {}
        return self.made.matches(scope)

    @override
    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves a request that matched."""
        await self.made.handle(scope, receive, send)


class LateRouter(APIRouter):
    """A router whose routes are declared as ever, and made late."""

    def __init__(self, **options: Any) -> None:
        """`options`: those of FastAPI's router."""
        super().__init__(**options)
        self._options = options

    @override
    def add_api_route(
        self, path: str, endpoint: Callable[..., Any], *, methods: Iterable[str] | None = None, **options: Any
    ) -> None:
        """Takes note of a route. Every decorator ends here."""
        methods = tuple(methods or ("GET",))

        def make() -> APIRoute:
            _complete_models(endpoint)
            router = APIRouter(**self._options)
            router.add_api_route(path, endpoint, methods=list(methods), **options)
            (route,) = router.routes
            assert isinstance(route, APIRoute)
            return route

        self.routes.append(LateRoute(path, endpoint, methods, make))


def _complete_models(endpoint: Callable[..., Any]) -> None:
    """Has what reads and writes the models in a signature built with the route, and not at the first request."""
    for hint in get_type_hints(endpoint).values():
        for kind in (hint, *get_args(hint)):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                kind.model_config["defer_build"] = False
                kind.model_rebuild()


def late_routes(routes: Iterable[BaseRoute]) -> Iterator[LateRoute]:
    """Those of a router or an application that are made late: all that were declared here."""
    return (route for route in routes if isinstance(route, LateRoute))
