"""What a machine makes of our OpenAPI document: requests by its schemas, right and wrong, and never a 5xx.

`test_bad_input` tries what somebody thought of; this tries what nobody did. Derandomised: a failure comes again.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.core.result import Ok
from tests.support.management import MASTER_KEY, Management, Shared, bearer, is_envelope, shared_management

from tollway.control.api import create_app
from tollway.control.openapi import describe
from tollway.control.services import Services

REQUESTS = 500
SAYS_503 = frozenset({"/cache/redis/info"})
"""The contract's status where answers are kept in memory."""
"""About so many in all, half of them meant to be right: some half a minute."""

DOCUMENT = describe(create_app(cast("Services", None)))
OPERATIONS = {
    found.ok().label: found.ok()
    for found in schemathesis.openapi.from_dict(DOCUMENT).get_all_operations()
    if isinstance(found, Ok)
}
CASES = [
    (label, mode)
    for label, operation in sorted(OPERATIONS.items())
    for mode in (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE)
    if mode is schemathesis.GenerationMode.POSITIVE or {"parameters", "requestBody"} & operation.definition.raw.keys()
]
"""What takes nothing cannot be asked wrongly."""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    with shared_management(tmp_path_factory.mktemp("schemathesis")) as shared:
        yield shared


@pytest.mark.parametrize(("label", "mode"), CASES)
def test_an_operation_answers_as_described(label: str, mode: schemathesis.GenerationMode, shared: Shared) -> None:
    operation = OPERATIONS[label]

    @settings(
        max_examples=max(2, REQUESTS // (2 * len(OPERATIONS))),
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def check(case: schemathesis.Case[Any]) -> None:
        response = shared.runner.run(send(shared.management, case))
        what = (case.as_curl_command(), response.status_code, response.text[:500])
        assert response.status_code < 500 or operation.path in SAYS_503, what
        if response.status_code >= 400:
            assert is_envelope(response), what
        else:
            assert str(response.status_code) in operation.definition.raw["responses"], what

    check()


async def send(management: Management, case: schemathesis.Case[Any]) -> httpx.Response:
    management.clock.advance(1)  # ids are made of the time and of chance, and Hypothesis takes the chance away
    sent: dict[str, Any] = case.as_transport_kwargs(base_url="http://gateway")
    content = {"json": sent["json"]} if "json" in sent else {"content": sent.get("data") or b""}
    return await management.client.request(
        sent["method"], sent["url"], params=sent.get("params"), headers=bearer(MASTER_KEY), **content
    )
