"""Keys that change elsewhere: the next call has the new one, without a restart."""

from __future__ import annotations

from pathlib import Path

from tests.support import moto
from tests.support.embedded import embedded_gateway, model_list
from tests.support.faulty_upstream import FaultyUpstream


async def test_a_key_that_was_rotated_elsewhere_is_used_without_a_restart(
    upstream: FaultyUpstream, tmp_path: Path
) -> None:
    in_file = tmp_path / "key"
    in_file.write_text("sk-file-1")
    moto.keep_secret("ROTATED", "sk-manager-1")
    config = model_list(upstream, api_key="os.environ/ROTATED")
    (of_file,) = model_list(upstream, api_key=f"file/{in_file}")["model_list"]
    config["model_list"].append({**of_file, "model_name": "f"})
    config["general_settings"] = {"key_management_system": "aws_secret_manager", "secret_refresh_interval": "1h"}
    amazon = {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s", "AWS_REGION": "eu-west-3"}
    async with embedded_gateway(tmp_path, config, {"AWS_ENDPOINT_URL": moto.shared_url(), **amazon}) as gateway:

        async def sent() -> list[str]:
            for model in ("m", "f"):
                assert (await gateway.chat(model=model)).status == 200
            return [request.headers["authorization"] for request in upstream.requests[-2:]]

        assert await sent() == ["Bearer sk-manager-1", "Bearer sk-file-1"]
        assert not await gateway.reloader.renew_secrets(), "nothing has changed"
        moto.keep_secret("ROTATED", "sk-manager-2")
        in_file.write_text("sk-file-2")
        assert await gateway.reloader.renew_secrets()
        assert await sent() == ["Bearer sk-manager-2", "Bearer sk-file-2"]
        in_file.unlink()
        assert await gateway.reloader.renew_secrets(), "what could not be read is told"
        assert await sent() == ["Bearer sk-manager-2", "Bearer sk-file-2"]
        assert "what it held counts" in gateway.runtime.warnings
