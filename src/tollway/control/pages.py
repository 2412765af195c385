"""The gateway about itself: `/`, `/openapi.json`, `/routes`, `/ui`, and which services it could call out to."""

from __future__ import annotations

from typing import Any

from fastapi import Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse

from tollway.control.kit.guard import resource_router
from tollway.control.kit.roles import PUBLIC, Matrix
from tollway.control.openapi import describe

router = resource_router(None)

ACCESS: Matrix = {
    ("GET", "/"): PUBLIC,
    ("GET", "/docs"): PUBLIC,
    ("GET", "/openapi.json"): PUBLIC,
    ("GET", "/routes"): PUBLIC,
    ("GET", "/ui"): PUBLIC,
    ("GET", "/ui/"): PUBLIC,
}

_CONSOLE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Tollway</title>
<style>
  body { font: 16px/1.5 system-ui, sans-serif; max-width: 44rem; margin: 3rem auto; padding: 0 1rem; }
  pre { background: #8881; padding: .75rem 1rem; border-radius: .4rem; overflow-x: auto; }
  :root { color-scheme: light dark; }
</style>
<h1>Tollway</h1>
<p>There is no console in this version yet. The gateway is managed from a terminal:</p>
<pre>tollway keys create --alias my-app --models gpt-4o --max-budget 10 --budget-duration 30d
tollway keys list
tollway keys info my-app
tollway keys block my-app
tollway users create --email ann@example.com --max-budget 50 --budget-duration 30d
tollway teams create --alias engineering --max-budget 1000 --budget-duration 30d
tollway teams add-member engineering --email ann@example.com
tollway models add gpt-4o openai/gpt-4o --api-key os.environ/OPENAI_API_KEY
tollway models list
tollway spend
tollway spend keys</pre>
<p>(<code>tollway COMMAND --help</code> explains each of them), or over its API, which <a href="../">describes
itself</a>.</p>
"""


@router.get("/")
@router.get("/docs")
async def show_api() -> HTMLResponse:
    """The API, to read and to try."""
    return get_swagger_ui_html(openapi_url="openapi.json", title="Tollway", swagger_favicon_url="data:,")


@router.get("/openapi.json")
def describe_api(request: Request) -> JSONResponse:
    """The API, for programs."""
    # Not async, so that FastAPI runs it in a thread: the first description takes a few hundred milliseconds.
    return JSONResponse(describe(request.app))


@router.get("/routes")
def list_routes(request: Request) -> dict[str, list[dict[str, Any]]]:
    """Every path of the API."""
    paths = describe(request.app)["paths"]
    return {
        "routes": [
            {"path": path, "methods": [method.upper() for method in operations]} for path, operations in paths.items()
        ]
    }


@router.get("/ui")
async def find_console() -> RedirectResponse:
    """Where the console is."""
    return RedirectResponse("/ui/", status_code=307)


@router.get("/ui/")
async def show_console() -> HTMLResponse:
    """What there is instead of a console."""
    return HTMLResponse(_CONSOLE)
