"""Keys that get new values by themselves, and how their holders come by them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select, update
from tests.support.management import Management, error_of, good, open_management

from tollway.control.keys.rotation import ROTATOR, KeyRotation
from tollway.control.services import KeyPolicy
from tollway.core.ids import hash_key
from tollway.db.audit import audit_log
from tollway.db.engine import reading, writing
from tollway.db.keys import retired_key_hashes, virtual_keys

DAY = 86_400
ROTATING = {"auto_rotate": True, "rotation_interval": "30d"}


async def rotate(management: Management) -> int:
    return await KeyRotation(management.services).rotate_due()


async def rotated(management: Management, **fields: Any) -> tuple[str, str]:
    """A key after its first rotation: its old value and its new one."""
    old = (await management.new_key(**ROTATING, **fields))["key"]
    management.clock.advance(30 * DAY)
    assert await rotate(management) == 1
    return old, good(await management.get("/key/successor", by=old))["key"]


async def works(management: Management, key: str) -> bool:
    return (await management.get("/key/info", by=key)).is_success


async def test_a_key_is_rotated_when_its_interval_is_over_and_not_before(management: Management) -> None:
    key = (await management.new_key(**ROTATING))["key"]
    management.clock.advance(30 * DAY - 1)
    assert await rotate(management) == 0
    error_of(await management.get("/key/successor", by=key), 404)
    management.clock.advance(1)
    assert await rotate(management) == 1
    assert await rotate(management) == 0
    management.clock.advance(29 * DAY)
    assert await rotate(management) == 0


async def test_the_holder_fetches_the_new_value_with_the_old_one_until_the_grace_is_over(
    management: Management,
) -> None:
    old, new = await rotated(management, key_alias="app")
    assert new.startswith("sk-")
    assert new != old
    answer = good(await management.get("/key/successor", by=old))
    assert (answer["key"], answer["old_key_works_until"]) == (new, "2026-02-14T10:17:23Z")
    assert await works(management, old)
    assert await works(management, new)
    management.clock.advance(DAY)
    assert not await works(management, old)
    assert (await management.get("/key/successor", by=old)).status_code == 401
    info = await management.info(new)
    assert (info["key_alias"], info["rotation_count"]) == ("app", 1)
    assert (info["last_rotation_at"], info["key_rotation_at"]) == ("2026-02-13T10:17:23Z", "2026-03-15T10:17:23Z")


async def test_spend_goes_on_under_the_new_value(management: Management) -> None:
    old = (await management.new_key(**ROTATING))["key"]
    await management.spend(old, 1.5)
    management.clock.advance(30 * DAY)
    await rotate(management)
    new = good(await management.get("/key/successor", by=old))["key"]
    await management.spend(new, 0.5)
    assert (await management.info(new))["spend"] == 2.0


async def test_the_new_value_is_stored_sealed_and_only_as_long_as_it_can_be_fetched(management: Management) -> None:
    _, new = await rotated(management)

    async def stored() -> list[str | None]:
        async with reading(management.services.engine) as connection:
            return list((await connection.execute(select(retired_key_hashes.c.successor))).scalars())

    (sealed,) = await stored()
    assert sealed
    assert new not in sealed
    assert hash_key(new) not in sealed
    management.clock.advance(DAY)
    await rotate(management)
    assert await stored() == [None]


async def test_a_key_confined_to_inference_fetches_its_successor(management: Management) -> None:
    old, _ = await rotated(management, key_type="llm_api")
    assert (await management.get("/key/list", by=old)).status_code == 403


async def test_a_second_rotation_ends_the_grace_of_the_first(management: Management) -> None:
    old = (await management.new_key(auto_rotate=True, rotation_interval="1h"))["key"]
    values = [old]
    for _ in range(2):
        management.clock.advance(3600)
        assert await rotate(management) == 1
        values.append(good(await management.get("/key/successor", by=values[-1]))["key"])
    assert [await works(management, value) for value in values] == [False, True, True]


async def test_a_key_that_was_regenerated_by_hand_has_no_successor_to_fetch(management: Management) -> None:
    key = await management.new_key()
    good(await management.post("/key/regenerate", {"key": key["key"], "grace_period": "1h"}))
    error = error_of(await management.get("/key/successor", by=key["key"]), 404)
    assert "/key/regenerate" in error["message"]


@pytest.mark.parametrize("change", ["delete", "block"])
async def test_nobody_fetches_the_successor_of_a_key_that_was_shut(change: str, management: Management) -> None:
    old, new = await rotated(management)
    body = {"keys": [new]} if change == "delete" else {"key": new}
    good(await management.post(f"/key/{change}", body))
    assert (await management.get("/key/successor", by=old)).status_code == 401


async def test_rotation_ends_when_it_is_switched_off(management: Management) -> None:
    key = (await management.new_key(**ROTATING))["key"]
    good(await management.post("/key/update", {"key": key, "auto_rotate": False}))
    management.clock.advance(31 * DAY)
    assert await rotate(management) == 0


async def test_it_is_told_and_audited_without_the_values(management: Management) -> None:
    old, new = await rotated(management)
    assert {hash_key(old), hash_key(new)} <= {*management.told}
    async with reading(management.services.engine) as connection:
        query = select(audit_log).where(audit_log.c.action == "rotated")
        (row,) = (await connection.execute(query)).all()
    assert row.changed_by == ROTATOR
    assert old not in str(row)
    assert new not in str(row)


async def test_a_due_date_that_an_older_version_guessed_is_put_right(management: Management) -> None:
    key = await management.new_key(**ROTATING)
    async with writing(management.services.engine) as connection:
        await connection.execute(update(virtual_keys).values(rotates_at=virtual_keys.c.created_at))
    assert await rotate(management) == 0
    async with reading(management.services.engine) as connection:
        (due,) = (await connection.execute(select(virtual_keys.c.rotates_at))).scalars()
    assert due.isoformat() == "2026-02-13T10:17:23+00:00"
    assert await works(management, key["key"])


async def test_one_key_that_cannot_be_rotated_holds_up_no_other(management: Management) -> None:
    keys = [(await management.new_key(**ROTATING))["key"] for _ in range(2)]
    now = datetime.fromtimestamp(management.clock(), UTC)
    taken = {
        "key_hash": hash_key(keys[0]),
        "spend_id": "another's",
        **dict.fromkeys(("retired_at", "works_until"), now),
    }
    async with writing(management.services.engine) as connection:
        await connection.execute(insert(retired_key_hashes).values(taken))
    management.clock.advance(30 * DAY)
    assert await rotate(management) == 1
    error_of(await management.get("/key/successor", by=keys[0]), 404)
    assert good(await management.get("/key/successor", by=keys[1]))["key"]


async def test_the_grace_is_what_the_settings_say(tmp_path: Path) -> None:
    async with open_management(tmp_path, key_policy=KeyPolicy(grace_period="2h")) as management:
        old, _ = await rotated(management)
        management.clock.advance(7199)
        assert await works(management, old)
        management.clock.advance(1)
        assert not await works(management, old)
