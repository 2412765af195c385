from __future__ import annotations

import pytest
from tests.support.management import Management, error_of, good

from tollway.control.users.repository import UserRepository
from tollway.core.passwords import is_password
from tollway.db.engine import reading

FIRST, SECOND = "correct horse", "battery staple"


async def stored(management: Management, user_id: str) -> str | None:
    async with reading(management.services.engine) as connection:
        return await UserRepository(connection).password_hash(user_id)


async def test_a_user_chooses_another_password(management: Management) -> None:
    key = (await management.new_user(user_id="u", user_role="internal_user_viewer"))["key"]
    good(await management.post("/user/update", {"user_id": "u", "password": FIRST}))
    change = {"current_password": FIRST, "new_password": SECOND}
    assert good(await management.post("/user/password/change", change, by=key))["user_id"] == "u"
    assert is_password(SECOND, await stored(management, "u") or "")
    error = error_of(await management.post("/user/password/change", change, by=key), 401)
    assert (error["type"], error["param"]) == ("auth_error", "invalid_credentials")
    assert is_password(SECOND, await stored(management, "u") or "")


async def test_a_change_of_other_fields_keeps_the_password(management: Management) -> None:
    await management.new_user(user_id="u")
    await management.post("/user/update", {"user_id": "u", "password": FIRST})
    await management.post("/user/update", {"user_id": "u", "rpm_limit": 1})
    assert is_password(FIRST, await stored(management, "u") or "")
    await management.post("/user/update", {"user_id": "u", "password": None})
    assert await stored(management, "u") is None


async def test_without_a_password_there_is_none_to_change(management: Management) -> None:
    key = (await management.new_user(user_id="u"))["key"]
    change = {"current_password": FIRST, "new_password": SECOND}
    for by in (key, (await management.new_key())["key"]):
        assert (
            "/invitation/new" in error_of(await management.post("/user/password/change", change, by=by), 400)["message"]
        )


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/user/password/change", {"current_password": FIRST, "new_password": "short"}),
        ("/user/update", {"user_id": "u", "password": "short"}),
    ],
)
async def test_a_short_password_is_refused_and_not_echoed(
    path: str, body: dict[str, str], management: Management
) -> None:
    response = await management.post(path, body)
    assert response.status_code == 422
    assert FIRST not in response.text
    assert "'short'" not in response.text
