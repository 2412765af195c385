from __future__ import annotations

import logging
from dataclasses import replace

import pytest
from tests.support.management import MASTER_KEY, Management, bearer, error_of, good

from tollway.core.errors import StoreUnavailable
from tollway.core.principal import Principal


async def test_an_unknown_path_and_a_wrong_method_are_answered_as_by_the_original(management: Management) -> None:
    missing = await management.get("/no/such/path")
    assert (missing.status_code, missing.json()) == (404, {"detail": "Not Found"})
    wrong = await management.get("/key/generate")
    assert (wrong.status_code, wrong.json()) == (405, {"detail": "Method Not Allowed"})
    assert wrong.headers["allow"] == "POST"


async def test_an_invalid_body_is_explained_without_echoing_it(management: Management) -> None:
    response = await management.post("/key/generate", {"max_budget": "canary-1", "models": "canary-2"})
    assert response.status_code == 422
    assert response.json() == {
        "detail": [
            {"type": "list_type", "loc": ["body", "models"], "msg": "Input should be a valid list"},
            {
                "type": "float_parsing",
                "loc": ["body", "max_budget"],
                "msg": "Input should be a valid number, unable to parse string as a number",
            },
        ]
    }


async def test_no_body_is_a_missing_body(management: Management) -> None:
    response = await management.post("/key/generate")
    assert response.status_code == 422
    assert response.json() == {"detail": [{"type": "missing", "loc": ["body"], "msg": "Field required"}]}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"models": [', 422),
        (b"\xff\xfe", 422),
        (b"[" * 100_000, 400),
        (b"[1]", 422),
        (b'{"key_alias": "\\ud800"}', 422),
        (b'{"key_alias": "a\\u0000b"}', 422),
        (b'{"metadata": {"deep": [{"\\u0000": 1}]}}', 422),
        (b'{"metadata": {"a": NaN}}', 422),
        (b'{"metadata": {"a": [Infinity]}}', 422),
        (b'{"router_settings": {"num_retries": "many"}}', 422),
    ],
)
async def test_what_cannot_be_stored_is_refused_not_stumbled_over(
    body: bytes, status: int, management: Management
) -> None:
    response = await management.client.post("/key/generate", content=body, headers=bearer(MASTER_KEY))
    assert response.status_code == status
    assert response.json().keys() == {"detail"}


async def test_a_body_needs_no_content_type(management: Management) -> None:
    response = await management.client.post(
        "/key/generate", content=b'{"key_alias": "bare"}', headers=bearer(MASTER_KEY)
    )
    assert good(response)["key_alias"] == "bare"


async def test_a_bug_is_a_500_without_words(management: Management, caplog: pytest.LogCaptureFixture) -> None:
    async def broken(_headers: object) -> Principal:
        raise ZeroDivisionError("canary")

    management.app.state.services = replace(management.services, authenticate=broken)
    with caplog.at_level(logging.ERROR):
        response = await management.get("/key/list")
    assert response.status_code == 500
    assert response.json() == {"error": {"message": "Internal server error", "type": "internal_server_error"}}
    assert "ZeroDivisionError: canary" in caplog.text


async def test_an_outage_is_a_503_with_retry_after(management: Management) -> None:
    async def away(_headers: object) -> Principal:
        raise StoreUnavailable("The database cannot be reached right now.", headers=((b"retry-after", b"5"),))

    management.app.state.services = replace(management.services, authenticate=away)
    response = await management.get("/key/list")
    assert error_of(response, 503)["type"] == "no_db_connection"
    assert response.headers["retry-after"] == "5"


@pytest.mark.parametrize("address", ["/key/info?key=a%00b", "/key/list?%00=1", "/key/a%00b/regenerate"])
async def test_no_address_brings_a_nul_to_a_database(address: str, management: Management) -> None:
    method = "POST" if "regenerate" in address else "GET"
    response = await management.client.request(method, address, headers=bearer(MASTER_KEY), content=b"{}")
    assert error_of(response, 400)["message"] == "The path and the query must not contain NUL."


async def test_tags_and_access_groups_have_the_older_shape_of_errors_but_not_at_the_door(
    management: Management,
) -> None:
    response = await management.get("/v1/access_group/none")
    assert (response.status_code, response.json()) == (404, {"detail": "Access group 'none' not found."})
    assert error_of(await management.get("/v1/access_group/none", by="sk-unknown-0123456789"), 401)
