"""Keys that rotate by themselves, in a real process that looks for them."""

from __future__ import annotations

from pathlib import Path

from tests.support.gateway import running_gateway


def test_the_server_rotates_keys_and_their_holders_call_on(tmp_path: Path) -> None:
    often = {"LITELLM_KEY_ROTATION_CHECK_INTERVAL_SECONDS": "0.1"}
    with running_gateway(tmp_path, env=often) as gateway:
        old = gateway.create_key(auto_rotate=True, rotation_interval="3s", key_type="llm_api")
        gateway.process.wait_until(
            lambda: gateway.get("/key/successor", key=old).status == 200, what="rotating the key"
        )
        new = gateway.get("/key/successor", key=old).json()["key"]
        gateway.admin("POST", "/key/update", {"key": new, "auto_rotate": False})
        assert gateway.chat("demo", "Hello", key=old).status == 200
        assert gateway.chat("demo", "Hello", key=new).status == 200
    assert old not in gateway.log
    assert new not in gateway.log
