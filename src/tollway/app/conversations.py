"""What keeps conversations of the Responses API: made for the first call of it, since most gateways see none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from tollway.core.snapshot import TransportName
from tollway.dataplane.asgi import Receive, Scope, Send
from tollway.dataplane.caller import Callers
from tollway.dataplane.edge import Page
from tollway.ports.conversations import ConversationStore
from tollway.ports.sealing import Seal
from tollway.ports.transport import Transport
from tollway.routing.router import Router

if TYPE_CHECKING:
    from tollway.dataplane.responses import ResponsePages
    from tollway.gateway.archive import Archive
    from tollway.gateway.background import BackgroundBilling
    from tollway.gateway.response_ids import ResponseIds
    from tollway.gateway.threads import Threads


class LateConversations:
    """Parts that share one archive."""

    def __init__(
        self,
        store: ConversationStore,
        seal: Seal,
        transports: Mapping[TransportName, Transport],
        callers: Callers,
        make_billing: Callable[[], BackgroundBilling],
    ) -> None:
        """`make_billing`: of what providers make in the background."""
        self._store = store
        self._seal = seal
        self._transports = transports
        self._callers = callers
        self._make_billing = make_billing
        self._archive: Archive | None = None
        self._ids: ResponseIds | None = None
        self._threads: Threads | None = None
        self._pages: ResponsePages | None = None

    def threads(self) -> Threads:
        """Finds what calls go on from."""
        if self._threads is None:
            from tollway.gateway.threads import Threads

            self._threads = Threads(self._made_archive(), self._made_ids())
        return self._threads

    def page(self, router: Callable[[], Router], name: str) -> Page:
        """The method of `ResponsePages` with this name."""

        async def serve(scope: Scope, receive: Receive, send: Send, named: str | None) -> None:
            page: Page = getattr(self._made_pages(router), name)
            await page(scope, receive, send, named)

        return serve

    def _made_pages(self, router: Callable[[], Router]) -> ResponsePages:
        if self._pages is None:
            from tollway.dataplane.responses import ResponsePages
            from tollway.gateway.kept import KeptResponses

            kept = KeptResponses(router, self._transports, self._made_archive(), self._made_ids())
            self._pages = ResponsePages(kept, self._make_billing(), self._callers, lambda: router().snapshot.settings)
        return self._pages

    def _made_archive(self) -> Archive:
        if self._archive is None:
            from tollway.gateway.archive import Archive

            self._archive = Archive(self._store, self._seal)
        return self._archive

    def _made_ids(self) -> ResponseIds:
        if self._ids is None:
            from tollway.gateway.response_ids import ResponseIds

            self._ids = ResponseIds(self._seal)
        return self._ids

    async def close(self) -> None:
        """Writes what is still to be written."""
        if self._archive is not None:
            await self._archive.close()
