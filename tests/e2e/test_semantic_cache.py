"""Questions in other words, compared by a small real embedding model: who gets whose answer, and what it costs."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from tests.support import postgres
from tests.support.embedded import Embedded, embedded_gateway, model_list
from tests.support.embedding_model import embed
from tests.support.faulty_upstream import HANG, FaultyUpstream, error, response
from tests.support.gateway import MASTER_KEY

CHAT = "/v1/chat/completions"
RESET = "How do I reset my password?"
RESET_TOO = "I forgot my password, how do I reset it?"
PARIS = "What is the capital of France?"
EMBEDDINGS = "/v1/embeddings"


@pytest.fixture
async def upstream() -> AsyncIterator[FaultyUpstream]:
    embed("Loads the model, so that no call waits for that.")
    async with FaultyUpstream(embed=embed) as server:
        yield server


@asynccontextmanager
async def semantic(
    folder: Path, upstream: FaultyUpstream, *, url: str | None = None, **params: Any
) -> AsyncIterator[Embedded]:
    config = model_list(upstream)
    (chat,) = config["model_list"]
    vectors = {**chat["litellm_params"], "model": "openai/text-embedding-3-small"}
    config["model_list"] = [
        chat,
        {**chat, "model_name": "plain", "litellm_params": {**chat["litellm_params"], "model": "hosted_vllm/plain"}},
        {"model_name": "vectors", "litellm_params": vectors, "model_info": {"mode": "embedding"}},
    ]
    given = {
        "type": "local-semantic",
        "similarity_threshold": 0.8,
        "semantic_cache_embedding_model": "vectors",
        "semantic_cache_timeout": 10,
        "timeout": 5,
    }
    config["litellm_settings"] = {"cache": True, "cache_params": {**given, **params}}
    if url is not None:
        config["general_settings"] = {"database_url": url}
    async with embedded_gateway(folder, config, {"LITELLM_SALT_KEY": "sk-salt-of-the-tests"}) as gateway:
        yield gateway


async def ask(gateway: Embedded, said: str, *, key: str = MASTER_KEY, **fields: Any) -> aiohttp.ClientResponse:
    body = {"model": "m", "messages": [{"role": "user", "content": said}], **fields}
    answer = await gateway.post(CHAT, body, key=key)
    assert answer.status == 200, await answer.text()
    return answer


def similarity(answer: aiohttp.ClientResponse) -> float:
    """Of a question whose answer was given again; 1 for the same, 0 where the provider was asked."""
    if "x-litellm-cache-key" not in answer.headers:
        assert "x-litellm-semantic-similarity" not in answer.headers
        return 0.0
    return float(answer.headers.get("x-litellm-semantic-similarity", 1))


async def test_a_question_in_other_words_gets_the_same_answer(upstream: FaultyUpstream, tmp_path: Path) -> None:
    async with semantic(tmp_path, upstream) as gateway:
        key = await gateway.create_key(max_budget=1, rpm_limit=20, tags=["support"])
        first = await ask(gateway, RESET, key=key)
        assert similarity(first) == 0
        assert similarity(await ask(gateway, PARIS, key=key)) == 0, "it means something else"
        again = await ask(gateway, RESET_TOO, key=key)
        assert 0.8 < similarity(again) < 1
        assert await again.read() == await first.read()
        same = await ask(gateway, RESET, key=key)
        assert similarity(same) == 1
        assert same.headers["x-litellm-cache-key"] == again.headers["x-litellm-cache-key"]
        assert same.headers["x-ratelimit-api_key-remaining-requests"] == "16", "calls for vectors are not the caller's"
        assert [request.path for request in upstream.requests].count(CHAT) == 2
        assert [request.json["input"] for request in upstream.requests if request.path == EMBEDDINGS] == [
            *(RESET, PARIS, RESET_TOO)
        ], "the same question needs no vector"

        records = await gateway.records(api_key=key)
        vectors = [record for record in records if record["call_type"] == "aembedding"]
        hit = next(record for record in records if record["request_id"] and record["cache_hit"] == "True")
        assert len(records) == 7
        assert len(vectors) == 3
        assert all(record["spend"] > 0 and record["request_tags"] == ["support"] for record in vectors)
        assert {record["model_group"] for record in vectors} == {"vectors"}
        assert hit["spend"] == 0
        assert hit["metadata"]["saved_cache_cost"] > 0
        info = await (await gateway.get(f"/key/info?key={key}")).json()
        assert info["info"]["spend"] == pytest.approx(sum(record["spend"] for record in records), abs=1e-9)


async def test_likeness_is_not_sameness(upstream: FaultyUpstream, tmp_path: Path) -> None:
    """Why the guide warns: to such a model a negation is almost the same question."""
    async with semantic(tmp_path, upstream) as gateway:
        await ask(gateway, "Is the service available in Germany?")
        assert similarity(await ask(gateway, "Is the service not available in Germany?")) > 0.9


async def test_only_callers_of_one_scope_share(upstream: FaultyUpstream, tmp_path: Path) -> None:
    async with semantic(tmp_path, upstream) as gateway:
        mine, yours = await gateway.create_key(), await gateway.create_key()
        await ask(gateway, RESET, key=mine)
        assert similarity(await ask(gateway, RESET, key=yours)) == 0
        assert similarity(await ask(gateway, RESET_TOO, key=yours)) > 0.8
        await ask(gateway, PARIS, key=mine)
        assert similarity(await ask(gateway, "Which city is the capital of France?", key=yours)) == 0
    async with semantic(tmp_path, upstream, semantic_cache_scope="global") as gateway:
        mine, yours = await gateway.create_key(), await gateway.create_key()
        await ask(gateway, RESET, key=mine)
        assert similarity(await ask(gateway, RESET_TOO, key=yours)) > 0.8


async def test_callers_say_what_they_want_of_it(upstream: FaultyUpstream, tmp_path: Path) -> None:
    async with semantic(tmp_path, upstream) as gateway:
        await ask(gateway, RESET)
        assert similarity(await ask(gateway, RESET_TOO, cache={"no-cache": True})) == 0
        assert similarity(await ask(gateway, RESET_TOO)) == 1, "it was kept under its own key"
        assert similarity(await ask(gateway, RESET_TOO, cache={"namespace": "other"})) == 0
        assert similarity(await ask(gateway, RESET_TOO + "!", cache={"s-maxage": 0})) == 0
        assert similarity(await ask(gateway, PARIS, cache={"no-store": True})) == 0
        assert similarity(await ask(gateway, "What's the capital of France?")) == 0
        assert similarity(await ask(gateway, RESET_TOO + "!!", temperature=0.1)) == 0, "all else has to be the same"
        await ask(gateway, RESET, seed=2, cache={"ttl": 0.05})
        await asyncio.sleep(0.1)
        assert similarity(await ask(gateway, RESET_TOO, seed=2)) == 0
        streamed: dict[str, Any] = {"stream": True, "seed": 1}
        first = await ask(gateway, RESET, **streamed)
        again = await ask(gateway, RESET_TOO, **streamed)
        assert similarity(again) > 0.8
        assert await again.text() == await first.text()


def chat_body(said: str) -> dict[str, Any]:
    return {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": said}]}


def gemini_body(said: str) -> dict[str, Any]:
    return {"contents": [{"role": "user", "parts": [{"text": said}]}]}


QUESTIONS: dict[str, Callable[[str], dict[str, Any]]] = {
    CHAT: chat_body,
    "/v1/completions": lambda said: {"prompt": said},
    "/v1/responses": lambda said: {"model": "plain", "input": said, "store": False},
    "/v1/messages": lambda said: {"max_tokens": 20, "messages": [{"role": "user", "content": said}]},
    "/v1beta/models/m:generateContent": gemini_body,
    "/v1beta/models/m:streamGenerateContent?alt=sse": gemini_body,
}


async def test_questions_of_every_format_are_compared(upstream: FaultyUpstream, tmp_path: Path) -> None:
    async with semantic(tmp_path, upstream) as gateway:
        for path, body in QUESTIONS.items():
            first = await gateway.post(path, {"model": "m", **body(RESET)})
            other = await gateway.post(path, {"model": "m", **body(PARIS)})
            again = await gateway.post(path, {"model": "m", **body(RESET_TOO)})
            assert (first.status, similarity(first), similarity(other)) == (200, 0, 0), path
            assert similarity(again) > 0.8, path
            assert await again.read() == await first.read()
        vectors = [request for request in upstream.requests if request.path == EMBEDDINGS]
        same = [await gateway.post(EMBEDDINGS, {"model": "vectors", "input": said}) for said in (RESET, RESET_TOO)]
        assert [similarity(answer) for answer in same] == [0, 0], "vectors themselves are exact"
        assert len(vectors) == 3 * len(QUESTIONS)


async def test_whatever_is_wrong_with_vectors_costs_no_call(
    upstream: FaultyUpstream, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with semantic(tmp_path, upstream, semantic_cache_timeout=0.5) as gateway:
        with caplog.at_level(logging.WARNING, "tollway.gateway.resemblance"):
            await ask(gateway, RESET)
            for reply in (error(500), HANG, response(b'{"data": []}'), response(b'{"data": [{"embedding": [0, 0]}]}')):
                upstream.reply(reply, path=EMBEDDINGS)
                assert similarity(await ask(gateway, RESET_TOO, cache={"no-store": True})) == 0
            assert len(caplog.records) == 1, "one line, however many calls"
            assert similarity(await ask(gateway, RESET_TOO)) > 0.8
        metrics = await (await gateway.get("/metrics")).text()
        assert 'route="/semantic-cache"' in metrics
        failures = [record for record in await gateway.records() if record["status"] == "failure"]
        assert {record["call_type"] for record in failures} == {"aembedding"}
        assert all(record["spend"] == 0 for record in failures)


async def test_limits_of_the_caller_are_those_of_the_call_itself(upstream: FaultyUpstream, tmp_path: Path) -> None:
    async with semantic(tmp_path, upstream) as gateway:

        def vectors() -> int:
            return [request.path for request in upstream.requests].count(EMBEDDINGS)

        key = await gateway.create_key(rpm_limit=1, max_parallel_requests=1, models=["m"])
        await ask(gateway, RESET, key=key)
        assert vectors() == 1, "though the key may call one model, once, one call at a time"
        assert (await gateway.chat(key=key)).status == 429
        poor = await gateway.create_key(max_budget=0.000001)
        await ask(gateway, PARIS, key=poor)
        assert (await gateway.chat(key=poor)).status == 422
        assert vectors() == 2, "a call that is refused asks for none"
        upstream.reply(HANG, path=EMBEDDINGS)
        few = await gateway.create_key(tpm_limit=50)
        first = asyncio.create_task(ask(gateway, RESET, key=few))
        await upstream.wait_for_requests(5)
        assert (await gateway.chat(key=few)).status == 429, "the first has reserved its tokens"
        first.cancel()


async def test_a_budget_that_is_spent_on_vectors_ends_the_comparing_only(
    upstream: FaultyUpstream, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with semantic(tmp_path, upstream) as gateway:
        limits = {"vectors": {"budget_limit": 0.00000001, "time_period": "1d"}}
        key = await gateway.create_key(model_max_budget=limits)
        await ask(gateway, RESET, key=key)
        assert similarity(await ask(gateway, RESET_TOO, key=key)) == 0
        assert similarity(await ask(gateway, RESET, key=key)) == 1
        assert [request.path for request in upstream.requests] == [EMBEDDINGS, CHAT, CHAT]
        assert key[-4:] not in caplog.text, "the log says nothing of who it was"
        assert "vectors makes no vectors (BudgetExceeded)" in caplog.text


async def test_a_client_that_leaves_while_its_words_are_looked_at_is_settled(
    upstream: FaultyUpstream, tmp_path: Path
) -> None:
    async with semantic(tmp_path, upstream) as gateway:
        key = await gateway.create_key(max_parallel_requests=1)
        upstream.reply(HANG, path=EMBEDDINGS)
        call = asyncio.create_task(ask(gateway, RESET, key=key))
        await upstream.wait_for_requests(1)
        call.cancel()
        async with asyncio.timeout(5):
            while len(rows := await gateway.records(api_key=key)) < 2:
                pass
        assert {row["call_type"] for row in rows} == {"aembedding", "acompletion"}
        assert {row["status"] for row in rows} == {"failure"}
        await ask(gateway, RESET, key=key)  # the slot came free


async def test_alike_calls_of_one_moment_share_one_vector_and_one_answer(
    upstream: FaultyUpstream, tmp_path: Path
) -> None:
    async with semantic(tmp_path, upstream, single_flight=True) as gateway:
        answers = await asyncio.gather(*(ask(gateway, RESET) for _ in range(5)))
        assert sorted(map(similarity, answers)) == [0, 1, 1, 1, 1]
        assert len(upstream.requests) == 2
        again = await asyncio.gather(*(ask(gateway, RESET_TOO) for _ in range(3)))
        assert all(0.8 < similarity(answer) < 1 for answer in again)


async def test_postgres_keeps_them_for_all_gateways(upstream: FaultyUpstream, tmp_path: Path) -> None:
    url = postgres.databases().new_url()
    postgres.databases().create_migrated(url)
    one_folder, other_folder = tmp_path / "one", tmp_path / "other"
    one_folder.mkdir()
    other_folder.mkdir()
    params: dict[str, Any] = {"url": url, "type": "pgvector-semantic"}
    async with semantic(one_folder, upstream, **params) as one, semantic(other_folder, upstream, **params) as other:
        ping = await (await one.get("/cache/ping")).json()
        assert (ping["status"], ping["cache_type"]) == ("healthy", "pgvector-semantic")
        assert json.loads(ping["litellm_cache_params"])["similarity_threshold"] == 0.8
        assert (await other.get("/cache/ping")).status == 200
        key = await one.create_key()
        await ask(one, RESET, key=key)
        async with asyncio.timeout(10):
            while not 0.8 < similarity(found := await ask(other, RESET_TOO, key=key, cache={"no-store": True})) < 1:
                pass
        deleted = await one.post("/cache/delete", {"keys": [found.headers["x-litellm-cache-key"]]})
        assert (await deleted.json())["deleted"] == 1
        assert similarity(await ask(other, RESET_TOO, key=key, cache={"no-store": True})) == 0
        assert (await one.post("/cache/flushall", {})).status == 200
        assert (await one.get(f"/key/info?key={key}")).status == 200, "nothing else is touched"
    postgres.databases().drop(url)
