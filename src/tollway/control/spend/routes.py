"""Every route of the spend views."""

from __future__ import annotations

from tollway.control.kit.guard import resource_router
from tollway.control.spend import activity_routes, global_routes, log_routes

router = resource_router("spend")
for part in (log_routes, global_routes, activity_routes):
    router.routes.extend(part.router.routes)
