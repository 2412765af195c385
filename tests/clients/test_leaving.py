"""Clients that leave a stream early: the vendor's connection closes too, and the call is settled."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import openai
import pytest
from tests.support.faulty_upstream import HANG, FaultyUpstream, chunk, chunked_head, sse
from tests.support.gateway import Gateway, launch_gateway
from tests.support.ledger import spend_logs
from tests.support.programs import find_program

SCRIPT = Path(__file__).with_name("openai_client.mjs")


@pytest.fixture
async def vendor_that_never_ends() -> AsyncIterator[FaultyUpstream]:
    """Two pieces of an answer, then silence."""
    pieces = [{"choices": [{"index": 0, "delta": {"content": word}}]} for word in ("Once", " upon")]
    *events, _done = sse(*pieces)
    async with FaultyUpstream() as upstream:
        upstream.reply(chunked_head(), *map(chunk, events), HANG, always=True)
        yield upstream


@pytest.fixture
async def gateway_before_it(vendor_that_never_ends: FaultyUpstream, tmp_path: Path) -> AsyncIterator[Gateway]:
    params = {"model": "openai/gpt-4o", "api_base": f"{vendor_that_never_ends.url}/v1", "api_key": "sk-vendor"}
    config = {"model_list": [{"model_name": "gpt-4o", "litellm_params": params}]}
    gateway = await asyncio.to_thread(launch_gateway, tmp_path, config)
    yield gateway
    await asyncio.to_thread(gateway.process.stop)


async def test_leaving_a_stream_of_the_python_sdk(
    vendor_that_never_ends: FaultyUpstream, gateway_before_it: Gateway
) -> None:
    key = await asyncio.to_thread(gateway_before_it.create_key, max_budget=1)
    async with openai.AsyncOpenAI(api_key=key, base_url=f"{gateway_before_it.url}/v1", max_retries=0) as client:
        stream = await client.chat.completions.create(
            model="gpt-4o", messages=[{"role": "user", "content": "Tell me a story"}], stream=True
        )
        async for piece in stream:
            if piece.choices[0].delta.content == " upon":
                break
        await stream.close()
        await vendor_that_never_ends.wait_for_close()
    [record] = await asyncio.to_thread(spend_logs, gateway_before_it, key, count=1)
    assert record["completion_tokens"] == 2
    assert record["spend"] > 0


async def test_leaving_a_stream_of_the_javascript_sdk(
    vendor_that_never_ends: FaultyUpstream, gateway_before_it: Gateway
) -> None:
    key = await asyncio.to_thread(gateway_before_it.create_key, max_budget=1)
    node = find_program("node", package="nodejs")
    process = await asyncio.create_subprocess_exec(
        node, str(SCRIPT), "abort", f"{gateway_before_it.url}/v1", key, stdout=asyncio.subprocess.PIPE
    )
    await vendor_that_never_ends.wait_for_close(timeout_s=20)
    written, _ = await process.communicate()
    assert (process.returncode, written.strip()) == (0, b"2")
    [record] = await asyncio.to_thread(spend_logs, gateway_before_it, key, count=1)
    assert record["completion_tokens"] == 2
