"""A connection that has become a WebSocket: uvicorn's own protocol, imported when the first client asks for it.

Source: RFC 6455; ASGI 3.0, WebSocket protocol 2.4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from typing_extensions import override
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

if TYPE_CHECKING:
    from uvicorn._types import ASGISendEvent
    from websockets.http11 import Request

_SWITCHING_PROTOCOLS = 101


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """Offers itself to the application as `scope["extensions"]["tollway.socket"]`.

    When the server stops, an application that `is_busy` is left to finish what it is at and to close: it looks at
    `is_stopping` then.
    """

    is_busy = False
    is_stopping = False

    @override
    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if self.response.status_code == _SWITCHING_PROTOCOLS:
            self.scope["extensions"]["tollway.socket"] = self  # type: ignore[assignment]

    @override
    async def send(self, message: ASGISendEvent) -> None:
        await super().send(message)
        if message["type"] == "websocket.http.response.body":
            self.handshake_complete = True  # a refusal completes it, too; uvicorn would report a fault

    @override
    def shutdown(self) -> None:
        self.is_stopping = True
        if not self.is_busy:
            super().shutdown()
