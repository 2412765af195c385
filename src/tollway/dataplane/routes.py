"""The inference routes: data. Found by one look-up of method and path, or by one of a few patterns.

The same rows go into `/openapi.json`, the role table, and the test that every costed route passes admission.
"""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from tollway.core.snapshot import Operation

Role = Literal["public", "llm"]
"""Who may call: anybody, or a key whose routes include inference."""

Action = Literal[
    "generate",
    "count_tokens",
    "token_counter",
    "supported_params",
    "transform_request",
    "get_response",
    "delete_response",
    "cancel_response",
    "list_input_items",
    "route",
    "list_models",
    "get_model",
    "liveliness",
    "readiness",
    "health",
    "metrics",
]


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One way into the data plane."""

    method: Literal["GET", "POST", "DELETE", "WEBSOCKET"]
    path: str
    """With `{model}` where the path names a model, which may contain slashes, or `{response_id}`."""
    action: Action
    operation: Operation | None = None
    summary: str
    role: Role = "llm"
    is_stream: bool = False
    """The path itself asks for a stream."""
    schema: str | None = None
    """Name of the request schema in OpenAI's own description."""

    @property
    def costs_money(self) -> bool:
        """Whether calls through it must pass admission."""
        return self.action == "generate"


def _operation_routes(operation: Operation, path: str, summary: str, schema: str) -> tuple[Route, ...]:
    aliases = (f"/v1{path}", path, f"/engines/{{model}}{path}", f"/openai/deployments/{{model}}{path}")
    return tuple(
        Route(method="POST", path=alias, action="generate", operation=operation, summary=summary, schema=schema)
        for alias in aliases
    )


def _generate(
    operation: Operation, path: str, summary: str, schema: str | None = None, *, is_stream: bool = False
) -> Route:
    return Route(
        method="POST",
        path=path,
        action="generate",
        operation=operation,
        summary=summary,
        schema=schema,
        is_stream=is_stream,
    )


def _get(path: str, action: Action, summary: str, role: Role = "public") -> Route:
    return Route(method="GET", path=path, action=action, summary=summary, role=role)


_RESPONSES = ("/v1/responses", "/responses", "/openai/v1/responses")
_OF_ONE_RESPONSE: tuple[tuple[Literal["GET", "POST", "DELETE"], str, Action, str], ...] = (
    ("GET", "/{response_id}", "get_response", "One response that is kept; with `stream=true`, as its events"),
    ("DELETE", "/{response_id}", "delete_response", "Forget a response"),
    ("POST", "/{response_id}/cancel", "cancel_response", "Stop a response that is made in the background"),
    ("GET", "/{response_id}/input_items", "list_input_items", "What a response was the answer to"),
)

ROUTES: tuple[Route, ...] = (
    *_operation_routes("chat", "/chat/completions", "Answer a conversation", "CreateChatCompletionRequest"),
    *_operation_routes("completions", "/completions", "Continue a text", "CreateCompletionRequest"),
    *_operation_routes("embeddings", "/embeddings", "Embed texts as vectors", "CreateEmbeddingRequest"),
    *(_generate("responses", path, "Answer, with the Responses API", "CreateResponse") for path in _RESPONSES),
    *(
        _generate("responses", f"{path}/compact", "Sum a conversation up, to go on from that", "CompactResponse")
        for path in _RESPONSES
    ),
    *(
        Route(
            method="POST",
            path=f"{path}/input_tokens",
            action="count_tokens",
            operation="responses",
            summary="Count the tokens of a prompt, with the Responses API",
            schema="CreateResponse",
        )
        for path in _RESPONSES
    ),
    *(
        Route(method=method, path=root + path, action=action, operation="responses", summary=summary)
        for root in _RESPONSES
        for method, path, action, summary in _OF_ONE_RESPONSE
    ),
    *(_generate("messages", path, "Answer, in Anthropic's format") for path in ("/v1/messages", "/messages")),
    *(
        _generate("gemini", f"{root}/models/{{model}}:{method}", summary, is_stream=method.startswith("stream"))
        for root in ("/v1beta", "/v1", "")
        for method, summary in (
            ("generateContent", "Answer, in Gemini's format"),
            ("streamGenerateContent", "Stream an answer, in Gemini's format"),
        )
    ),
    *(
        Route(
            method="POST",
            path=path,
            action="count_tokens",
            operation="messages",
            summary="Count the tokens of a prompt, in Anthropic's format",
        )
        for path in ("/v1/messages/count_tokens", "/messages/count_tokens")
    ),
    *(
        Route(
            method="POST",
            path=f"{root}/models/{{model}}:countTokens",
            action="count_tokens",
            operation="gemini",
            summary="Count the tokens of a prompt, in Gemini's format",
        )
        for root in ("/v1beta", "/v1", "")
    ),
    Route(
        method="POST",
        path="/utils/token_counter",
        action="token_counter",
        summary="Count the tokens of a prompt, messages or contents",
    ),
    Route(
        method="POST",
        path="/utils/transform_request",
        action="transform_request",
        summary="Show what a provider would be sent",
    ),
    Route(
        method="POST",
        path="/utils/route",
        action="route",
        summary="Show where a call would go, and why; nothing is called",
    ),
    _get("/utils/supported_openai_params", "supported_params", "Which parameters a model can be told", "llm"),
    _get("/v1/models", "list_models", "List the models this key may call", "llm"),
    _get("/models", "list_models", "List the models this key may call", "llm"),
    _get("/v1/models/{model}", "get_model", "One model", "llm"),
    _get("/models/{model}", "get_model", "One model", "llm"),
    _get("/health/liveliness", "liveliness", "Is the process alive?"),
    _get("/health/liveness", "liveliness", "Is the process alive?"),
    _get("/health/readiness", "readiness", "May traffic come?"),
    _get("/health", "health", "Health in short; with an admin key, a probe of every deployment"),
    _get("/metrics", "metrics", "Prometheus metrics"),
    _get("/metrics/", "metrics", "Prometheus metrics"),
)


SOCKETS: tuple[Route, ...] = tuple(
    Route(
        method="WEBSOCKET",
        path=path,
        action="generate",
        operation="responses",
        summary="Answer over a WebSocket, one response after another",
    )
    for path in _RESPONSES
)
"""Ways in that are no requests: each is a connection, and each call on it passes admission."""


_NAMES = re.compile(r"\\\{(\w+)\\\}")
_VARYING = {"model": "(.+)", "response_id": "([^/]+)"}


class RouteTable:
    """Finds the route of a request."""

    def __init__(self, routes: tuple[Route, ...] = ROUTES + SOCKETS) -> None:
        self._exact: dict[tuple[str, str], Route] = {}
        for route in routes:
            if "{" not in route.path:
                self._exact[route.method, route.path] = route
        self._patterns = [
            (re.compile(_NAMES.sub(lambda match: _VARYING[match[1]], re.escape(route.path))), route)
            for route in routes
            if "{" in route.path
        ]
        self._prefixes = tuple({route.path.partition("{")[0] for _, route in self._patterns})

    def find(self, method: str, path: str) -> tuple[Route | None, str | None]:
        """The route and what its path names, a model or a response; `(None, None)` if it is not ours."""
        route = self._exact.get((method, path))
        if route is not None:
            return route, None
        if path.startswith(self._prefixes):
            for pattern, candidate in self._patterns:
                match = pattern.fullmatch(path)
                if match is not None and candidate.method == method:
                    return candidate, match[1]
        return None, None

    def methods(self, path: str) -> list[str]:
        """Methods that the data plane answers on a path."""
        return [method for method in ("GET", "POST", "DELETE") if self.find(method, path)[0] is not None]
