"""What every route of this package works with."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import Depends, Request, Response

from tollway.control.kit.body import WARNING_HEADER
from tollway.control.kit.context import Context, ContextDep
from tollway.control.spend.visibility import Visibility


async def _seen(context: ContextDep) -> Visibility:
    # Whoever asks sees every call that was answered before.
    await context.services.ledger.flush_everywhere()
    return Visibility(context)


async def _fresh(context: ContextDep, _visible: Annotated[Visibility, Depends(_seen)]) -> Context:
    return context


async def _global(request: Request, context: ContextDep, visible: Annotated[Visibility, Depends(_seen)]) -> Context:
    visible.check_global(request.url.path)
    return context


Seen = Annotated[Visibility, Depends(_seen)]
"""What the caller may see."""
Fresh = Annotated[Context, Depends(_fresh)]
"""The request, once the database has every call that was answered."""
Global = Annotated[Context, Depends(_global)]
"""The same, for callers who may see what everybody spends."""


def answer_json(content: Any, *, warning: str | None = None) -> Response:
    """Rows of our own making: validating and encoding them through models would hold the event loop."""
    headers = {} if warning is None else {WARNING_HEADER: warning}
    return Response(msgspec.json.encode(content), media_type="application/json", headers=headers)
