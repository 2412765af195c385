"""Every route of the spend views."""

from __future__ import annotations

from fastapi import APIRouter

from tollway.control.spend import activity_routes, global_routes, log_routes

router = APIRouter()
for part in (log_routes, global_routes, activity_routes):
    router.include_router(part.router)
