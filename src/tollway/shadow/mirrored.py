"""Which requests a second gateway is asked too: inference, and nothing that changes anything. Pure."""

from __future__ import annotations

import re

from tollway.dataplane.routes import RouteTable

_ASKED = frozenset(
    {"generate", "count_tokens", "token_counter", "supported_params", "transform_request", "list_models"}
)
"""What is said about a stored response is left out: the two gateways give them different ids."""
_ELSEWHERE = re.compile(r"(/v\d)?/(images/generations|moderations|rerank|audio/(speech|transcriptions|translations))")
"""Inference of the contract that this gateway may not have: a difference too."""

_routes = RouteTable()


def is_mirrored(method: str, path: str) -> bool:
    """Whether a request to this path, without its query, is copied."""
    route, _ = _routes.find(method, path)
    if route is not None:
        return route.action in _ASKED and route.method != "WEBSOCKET"
    return method == "POST" and _ELSEWHERE.fullmatch(path) is not None
