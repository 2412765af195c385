"""The process: how it starts, stops, reloads, and what survives when it does not get to stop."""

from __future__ import annotations

import asyncio
import http.client
import json
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.support.embedded import model_list
from tests.support.faulty_upstream import FaultyUpstream, chunk, chunked_head, sse
from tests.support.gateway import MASTER_KEY, Gateway, launch_gateway, running_gateway

FREE = {"model_list": [{"model_name": "demo", "litellm_params": {"model": "demo/demo", "demo": {"latency_ms": 0}}}]}
PRICED = {
    "model_list": [
        {
            "model_name": "m",
            "litellm_params": {
                "model": "demo/demo",
                "demo": {"latency_ms": 0, "chunk_ms": 0},
                "input_cost_per_token": 0.001,
                "output_cost_per_token": 0.001,
            },
        }
    ]
}


def test_it_starts_with_nothing_and_says_how_to_go_on(tmp_path: Path) -> None:
    with running_gateway(tmp_path, env={"LITELLM_MASTER_KEY": ""}) as gateway:
        key = (gateway.data_dir / "master_key").read_text().strip()
        assert (gateway.data_dir / "master_key").stat().st_mode & 0o777 == 0o600
        assert key in gateway.log
        assert f"curl http://127.0.0.1:{gateway.port}/v1/chat/completions" in gateway.log
        assert gateway.chat("demo", "Hello!", key=key).status == 200
        assert gateway.chat("demo", "Hello!", key="sk-somebody-elses-key").status == 401
    first = gateway.log
    with running_gateway(tmp_path, env={"LITELLM_MASTER_KEY": ""}) as again:
        assert key not in again.log.removeprefix(first), "the key is shown once"
        assert again.chat("demo", "Hello!", key=key).status == 200


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--workers", "0"], "a whole number of at least 1"),
        (["--config", "missing.yaml"], "missing.yaml"),
        (["--database-url", "mysql://user:secret@db/x"], "write sqlite:///path/to/file.db or postgresql://"),
    ],
)
def test_what_cannot_work_is_refused_with_a_reason(tmp_path: Path, args: list[str], words: str) -> None:
    with pytest.raises(RuntimeError) as caught:
        launch_gateway(tmp_path, args=args)
    assert words in str(caught.value)
    assert "Traceback" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_an_address_in_use_is_named(tmp_path: Path) -> None:
    with running_gateway(tmp_path, FREE) as first, pytest.raises(RuntimeError) as caught:
        launch_gateway(tmp_path, args=["--port", str(first.port)], data_dir=tmp_path / "other")
    assert str(first.port) in str(caught.value)
    assert "Traceback" not in str(caught.value)


def test_a_well_known_master_key_starts_with_a_loud_warning(tmp_path: Path) -> None:
    with running_gateway(tmp_path, FREE, env={"LITELLM_MASTER_KEY": "sk-1234"}) as gateway:
        assert "WELL-KNOWN" in gateway.log
        assert gateway.chat("demo", "Hi", key="sk-1234").status == 200


def test_acknowledged_calls_survive_kill_9(tmp_path: Path) -> None:
    """Clients under load write down every answer they got; after the crash the ledger has each exactly once."""
    gateway = launch_gateway(tmp_path, PRICED)
    key = gateway.create_key()
    acknowledged: list[str] = []
    spent: list[float] = []
    for crash in range(3):
        enough = threading.Event()
        clients = [
            threading.Thread(target=_call_until_it_dies, args=(gateway, key, acknowledged, spent, enough))
            for _ in range(8)
        ]
        for client in clients:
            client.start()
        assert enough.wait(30), gateway.log
        time.sleep(0.05 + 0.37 * crash)  # before, during and after a flush
        gateway.process.kill()
        for client in clients:
            client.join()
        gateway = launch_gateway(tmp_path, data_dir=gateway.data_dir, config=PRICED)
    rows = gateway.admin("GET", f"/spend/logs?api_key={key}")
    ids = [row["litellm_call_id"] for row in rows]
    assert len(acknowledged) > 50
    assert len(ids) == len(set(ids)), "each exactly once"
    assert set(acknowledged) <= set(ids), "none lost"
    info = gateway.admin("GET", f"/key/info?key={key}")["info"]
    assert info["spend"] == pytest.approx(sum(row["spend"] for row in rows), abs=1e-6)
    assert gateway.process.stop() == 0, gateway.log


def _call_until_it_dies(
    gateway: Gateway, key: str, acknowledged: list[str], spent: list[float], enough: threading.Event
) -> None:
    count = 0
    while True:
        try:
            answer = gateway.chat("m", "Hello", key=key, max_tokens=5)
        except (OSError, http.client.HTTPException):
            return  # a connection that breaks in the middle of an answer acknowledges nothing
        assert answer.status == 200, answer.body
        acknowledged.append(answer.headers["x-litellm-call-id"])
        spent.append(float(answer.headers["x-litellm-response-cost"]))
        count += 1
        if count >= 4:
            enough.set()


def test_a_budget_holds_across_a_crash(tmp_path: Path) -> None:
    gateway = launch_gateway(tmp_path, PRICED)
    key = gateway.create_key(max_budget=0.05)
    statuses = []
    for _ in range(3):
        statuses.append(gateway.chat("m", "Hello", key=key, max_tokens=5).status)
        gateway.process.kill()
        gateway = launch_gateway(tmp_path, PRICED, data_dir=gateway.data_dir)
    while statuses[-1] == 200:
        statuses.append(gateway.chat("m", "Hello", key=key, max_tokens=5).status)
    refused = gateway.chat("m", "Hello", key=key, max_tokens=5)
    assert refused.status == 422
    assert refused.json()["error"]["type"] == "budget_exceeded"
    assert "Budget has been exceeded" in refused.json()["error"]["message"]
    spend = gateway.admin("GET", f"/key/info?key={key}")["info"]["spend"]
    assert 0.05 <= spend < 0.05 + 0.02
    assert gateway.process.stop() == 0


async def test_sigterm_lets_streams_finish_and_refuses_new_calls(tmp_path: Path) -> None:
    async with FaultyUpstream() as upstream:
        go_on = asyncio.Event()
        delta = {"choices": [{"index": 0, "delta": {"content": "one"}}], "model": "gpt-4o"}
        end = {"choices": [{"index": 0, "delta": {"content": "two"}, "finish_reason": "stop"}], "model": "gpt-4o"}
        first, *last = sse(delta, end)
        upstream.reply(chunked_head(), chunk(first), go_on, chunk(b"".join(last)), b"0\r\n\r\n")
        gateway = await asyncio.to_thread(launch_gateway, tmp_path, model_list(upstream))
        stream = asyncio.create_task(asyncio.to_thread(gateway.chat, "m", "Hi", stream=True))
        await upstream.wait_for_requests(1)
        await asyncio.sleep(0.2)
        gateway.process.signal(signal.SIGTERM)
        await asyncio.sleep(0.4)
        assert not await asyncio.to_thread(gateway.is_ready)
        assert gateway.process.is_running
        go_on.set()
        answer = await stream
        assert answer.events[-1] == "[DONE]"
        assert "two" in answer.body.decode()
        assert await asyncio.to_thread(gateway.process.wait) == 0, gateway.log
        assert "1 calls in flight" in gateway.log
        again = await asyncio.to_thread(launch_gateway, tmp_path, model_list(upstream), data_dir=gateway.data_dir)
        (row,) = await asyncio.to_thread(again.admin, "GET", "/spend/logs")
        assert row["status"] == "success"
        assert await asyncio.to_thread(again.process.stop) == 0


def _rewrite(tmp_path: Path, config: Any) -> None:
    (tmp_path / "config.yaml").write_text(config if isinstance(config, str) else yaml.safe_dump(config))


def _until(is_true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _models(gateway: Gateway) -> set[str]:
    return {model["id"] for model in gateway.get("/v1/models", key=MASTER_KEY).json()["data"]}


@pytest.mark.parametrize("how", ["sighup", "file"])
def test_a_changed_file_is_applied_whole_or_not_at_all(tmp_path: Path, how: str) -> None:
    args = ["--reload-config"] if how == "file" else []
    with running_gateway(tmp_path, FREE, args=args) as gateway:

        def apply(config: Any) -> None:
            _rewrite(tmp_path, config)
            if how == "sighup":
                gateway.process.signal(signal.SIGHUP)

        two = {"model_list": [*FREE["model_list"], *PRICED["model_list"]]}
        apply(two)
        _until(lambda: _models(gateway) == {"demo", "m"})
        apply("model_list: [{model_name: x}]")
        _until(lambda: "not reloaded" in gateway.log)
        assert "litellm_params" in gateway.log
        assert _models(gateway) == {"demo", "m"}
        apply("model_list: [")
        _until(lambda: gateway.log.count("not reloaded") == 2)
        assert gateway.chat("m", "Hi").status == 200
        apply(FREE)
        _until(lambda: _models(gateway) == {"demo"})
        assert gateway.chat("m", "Hi").status == 400


def test_json_logs_are_json(tmp_path: Path) -> None:
    with running_gateway(
        tmp_path, FREE, args=["--log-format", "json"], env={"LITELLM_MASTER_KEY": "sk-1234"}
    ) as gateway:
        lines = [line for line in gateway.log.splitlines() if line.startswith("{")]
        assert lines
        assert all({"level", "message"} <= json.loads(line).keys() for line in lines)
