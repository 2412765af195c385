"""One gateway for every client: vendors played by aimock, and the built-in model."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from tests.support.aimock import Aimock, running_aimock
from tests.support.gateway import Gateway, running_gateway

ANSWERS = Path(__file__).parent / "answers.json"


@pytest.fixture(scope="session")
def vendor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aimock]:
    with running_aimock(tmp_path_factory.mktemp("aimock"), ANSWERS) as mock:
        yield mock


class _Token(BaseHTTPRequestHandler):
    """Google's token endpoint, which believes everybody."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        body = b'{"access_token": "ya29.vendor", "expires_in": 3599}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


@pytest.fixture(scope="session")
def google_user() -> Iterator[str]:
    """Credentials of a user of Google's, with a token endpoint of our own."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Token) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        user = {"type": "authorized_user", "client_id": "i", "client_secret": "s", "refresh_token": "r"}
        yield json.dumps({**user, "token_uri": f"http://127.0.0.1:{server.server_port}/token"})
        server.shutdown()


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory, vendor: Aimock, google_user: str) -> Iterator[Gateway]:
    openai = {"api_base": vendor.api_base, "api_key": "sk-vendor"}
    models = {
        "gpt-4o": {"model": "openai/gpt-4o", **openai},
        "azure-gpt": {
            "model": "azure/gpt-4o-eu",
            "api_base": vendor.origin,
            "api_key": "azure-secret",
            "api_version": "2024-10-21",
        },
        "text-embedding-3-small": {"model": "openai/text-embedding-3-small", **openai},
        "unreachable": {"model": "openai/gpt-4o", "api_base": "http://127.0.0.1:9/v1", "api_key": "sk-vendor"},
        "demo": {"model": "demo/demo"},
        "claude": {"model": "anthropic/claude-sonnet-4-5", "api_base": vendor.origin, "api_key": "sk-vendor"},
        "gpt-5.6-sol": {"model": "anthropic/claude-sonnet-4-5", "api_base": vendor.origin, "api_key": "sk-vendor"},
        "gpt-5.5": {"model": "anthropic/claude-sonnet-4-5", "api_base": vendor.origin, "api_key": "sk-vendor"},
        "bedrock": {
            "model": "bedrock/us.anthropic.claude-sonnet-4-5-20250929-v1:0",
            "aws_bedrock_runtime_endpoint": vendor.origin,
            "aws_region_name": "us-east-1",
            "aws_access_key_id": "AKIAVENDOR",
            "aws_secret_access_key": "vendor-secret",
        },
        "bedrock-invoke": {
            "model": "bedrock/invoke/anthropic.claude-sonnet-4-5-20250929-v1:0",
            "aws_bedrock_runtime_endpoint": vendor.origin,
            "api_key": "bedrock-key",
        },
        "gemini": {"model": "gemini/gemini-2.5-flash", "api_base": vendor.origin, "api_key": "sk-vendor"},
        "vertex": {
            "model": "vertex_ai/gemini-2.5-flash",
            "api_base": f"{vendor.origin}/v1",
            "vertex_project": "p",
            "vertex_location": "us-central1",
            "vertex_credentials": google_user,
        },
        "cohere": {"model": "cohere/command-a-03-2025", "api_base": vendor.origin, "api_key": "sk-vendor"},
        "ollama": {"model": "ollama_chat/qwen3:8b", "api_base": vendor.origin},
    }
    model_list = [{"model_name": name, "litellm_params": params} for name, params in models.items()]
    config = {"model_list": model_list, "router_settings": {"num_retries": 0}}  # errors are asked for
    with running_gateway(tmp_path_factory.mktemp("gateway"), config) as running:
        yield running


@pytest.fixture
def key(gateway: Gateway) -> str:
    """A fresh virtual key with a budget and limits."""
    return gateway.create_key(max_budget=10, rpm_limit=1000, tpm_limit=1_000_000, max_parallel_requests=10)
