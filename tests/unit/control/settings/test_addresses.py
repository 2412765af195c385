from __future__ import annotations

from pathlib import Path

from tests.support.management import Management, error_of, good, open_management

FILE = {"general_settings": {"allowed_ips": ["10.0.0.0/8"]}}
WARNING = "x-tollway-warning"


async def listed(plane: Management) -> list[str]:
    return list(good(await plane.get("/get/allowed_ips"))["data"])


def in_force(plane: Management) -> tuple[str, ...] | None:
    return plane.services.configuration().data_plane.allowed_addresses


async def test_addresses_are_added_and_removed_one_by_one(tmp_path: Path) -> None:
    async with open_management(tmp_path, "sqlite") as plane:
        assert await listed(plane) == []
        answer = await plane.post("/add/allowed_ip", {"ip": "127.0.0.0/8"})
        assert good(answer) == {"message": "IP 127.0.0.0/8 address added successfully", "status": "success"}
        for _ in range(2):
            good(await plane.post("/add/allowed_ip", {"ip": "203.0.113.7"}))
        assert await listed(plane) == ["127.0.0.0/8", "203.0.113.7"]
        assert in_force(plane) == ("127.0.0.0/8", "203.0.113.7/32")
        good(await plane.post("/delete/allowed_ip", {"ip": "203.0.113.7"}))
        good(await plane.post("/delete/allowed_ip", {"ip": "127.0.0.0/8"}))
        assert await listed(plane) == []
        assert in_force(plane) is None, "everybody is served again"


async def test_whoever_locks_itself_out_is_told(tmp_path: Path) -> None:
    async with open_management(tmp_path, "sqlite") as plane:
        answer = await plane.post("/add/allowed_ip", {"ip": "203.0.113.7"})
        assert "your own address, 127.0.0.1, is not in the list" in answer.headers[WARNING]
        assert WARNING not in (await plane.post("/add/allowed_ip", {"ip": "127.0.0.1"})).headers
        answer = await plane.post("/delete/allowed_ip", {"ip": "127.0.0.1"})
        assert "your own address" in answer.headers[WARNING]


async def test_what_is_no_address_or_not_listed_is_refused(tmp_path: Path) -> None:
    async with open_management(tmp_path, "sqlite") as plane:
        assert "IP addresses" in error_of(await plane.post("/add/allowed_ip", {"ip": "10.0.0.0/99"}), 400)["message"]
        assert error_of(await plane.post("/delete/allowed_ip", {"ip": "10.0.0.1"}), 404)["param"] == "ip"
        assert (await plane.post("/add/allowed_ip", {})).status_code == 422


async def test_the_list_of_the_file_is_where_changes_start(tmp_path: Path) -> None:
    async with open_management(tmp_path, "sqlite", config=FILE) as plane:
        good(await plane.post("/add/allowed_ip", {"ip": "127.0.0.1"}))
        assert await listed(plane) == ["10.0.0.0/8", "127.0.0.1"]
        good(await plane.post("/delete/allowed_ip", {"ip": "10.0.0.0/8"}))
        assert await listed(plane) == ["127.0.0.1"]
        refused = error_of(await plane.post("/delete/allowed_ip", {"ip": "127.0.0.1"}), 400)
        assert "configuration file" in refused["message"]
