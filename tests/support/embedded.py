"""The whole gateway in the test's own event loop, behind a real socket: quick to start, and open to inspection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import uvicorn
import yaml
from tests.support.faulty_upstream import FaultyUpstream
from tests.support.gateway import MASTER_KEY

from tollway.app.build import build
from tollway.app.reload import Reloader
from tollway.app.runtime import Runtime
from tollway.app.server import Application
from tollway.config.load import load
from tollway.server.http1 import HttpProtocol


@dataclass
class Embedded:
    """A running gateway."""

    url: str
    runtime: Runtime
    reloader: Reloader
    config_file: Path
    session: aiohttp.ClientSession

    async def post(
        self, path: str, body: Any, *, key: str = MASTER_KEY, headers: Mapping[str, str] = {}
    ) -> aiohttp.ClientResponse:
        """One request, its body read."""
        data = {"data": body} if isinstance(body, bytes) else {"json": body}
        auth = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        response = await self.session.post(self.url + path, headers={**auth, **headers}, **data)
        await response.read()
        return response

    async def get(self, path: str, *, key: str | None = MASTER_KEY) -> aiohttp.ClientResponse:
        auth = {"Authorization": f"Bearer {key}"} if key else {}
        response = await self.session.get(self.url + path, headers=auth)
        await response.read()
        return response

    async def chat(self, *, key: str = MASTER_KEY, model: str = "m", **fields: Any) -> aiohttp.ClientResponse:
        """A chat completion with one short message."""
        body = {"model": model, "messages": [{"role": "user", "content": "Hi"}], **fields}
        return await self.post("/v1/chat/completions", body, key=key)

    async def create_key(self, **fields: Any) -> str:
        """A new virtual key."""
        response = await self.post("/key/generate", fields)
        assert response.status == 200, await response.text()
        key: str = (await response.json())["key"]
        return key

    async def records(self, **filters: str) -> list[dict[str, Any]]:
        """The ledger, newest first, as `/spend/logs` shows it."""
        query = "&".join(f"{name}={value}" for name, value in filters.items())
        rows: list[dict[str, Any]] = await (await self.get(f"/spend/logs?{query}")).json()
        return rows


def model_list(upstream: FaultyUpstream, **params: Any) -> dict[str, Any]:
    """A configuration with one model `m` at this upstream, priced like gpt-4o, that is asked once."""
    return {
        "router_settings": {"num_retries": 0},
        "model_list": [
            {
                "model_name": "m",
                "litellm_params": {
                    "model": "openai/gpt-4o",
                    "api_base": f"{upstream.url}/v1",
                    "api_key": "sk-upstream",
                    **params,
                },
            }
        ],
    }


@asynccontextmanager
async def embedded_gateway(
    folder: Path, config: Mapping[str, Any], environ: Mapping[str, str] = {}
) -> AsyncIterator[Embedded]:
    """Starts the gateway on a free port and stops it as SIGTERM would."""
    config_file = folder / "config.yaml"
    config_file.write_text(yaml.safe_dump(dict(config)))
    own = {"TOLLWAY_DATA_DIR": str(folder / "data"), "LITELLM_MASTER_KEY": MASTER_KEY, "HOME": str(folder)}

    def read() -> Any:
        return load(config_file, environ={**own, **environ})

    runtime = build(read(), ())
    reloader = Reloader(read, runtime, watches_files=False)
    server = uvicorn.Server(
        uvicorn.Config(
            Application(runtime, reloader),
            interface="asgi3",
            host="127.0.0.1",
            port=0,
            http=HttpProtocol,
            ws="none",
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=5,
        )
    )
    serving = asyncio.create_task(server._serve())  # `serve` would take over the test runner's signals
    while not server.started:
        await asyncio.sleep(0.01)
        if serving.done():
            await serving
    port = server.servers[0].sockets[0].getsockname()[1]
    async with aiohttp.ClientSession() as session:
        try:
            yield Embedded(f"http://127.0.0.1:{port}", runtime, reloader, config_file, session)
        finally:
            await session.close()
            server.should_exit = True
            await serving
