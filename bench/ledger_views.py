#!/usr/bin/env python3
"""Measures the spend views on a large ledger: each must answer within 200 ms.

    python bench/ledger_views.py --rows 1000000

The ledger is made once and kept in `.bench/`: 90 days of 2,000 keys, 500 users, 50 teams, 5 organizations, 5,000
customers, 20 models and 100 tags, on SQLite. The real management application is asked, over ASGI in this process.
"""

from __future__ import annotations

import argparse
import asyncio
import bisect
import hashlib
import itertools
import random
import sqlite3
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

REPO = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPO))

from tests.support.clock import FakeClock  # noqa: E402 - after the path is known
from tests.support.management import Management, open_management  # noqa: E402

from tollway.app.garbage import spare_what_lives_on  # noqa: E402
from tollway.core.ids import new_record_id  # noqa: E402
from tollway.core.record import Charge, Record  # noqa: E402
from tollway.core.usage import Usage  # noqa: E402
from tollway.db.ledger import daily_totals, daily_usage, ledger  # noqa: E402
from tollway.db.upgrade import upgrade  # noqa: E402
from tollway.db.url import sqlite_url  # noqa: E402
from tollway.stores.sql.ledger import ledger_row  # noqa: E402
from tollway.stores.sql.rollups import rollup_rows  # noqa: E402

DEFAULT_ROWS = 10_000_000
LIMIT_MS = 200
MICROS_PER_DAY = 86_400_000_000
DAYS, KEYS, USERS, TEAMS, ORGANIZATIONS, CUSTOMERS, MODELS, TAGS = 90, 2_000, 500, 50, 5, 5_000, 20, 100
APPLICATIONS = 200
"""Keys of applications, whose calls name a customer; the other keys are people's."""
HASHES = [hashlib.sha256(f"key {number}".encode()).hexdigest() for number in range(KEYS)]
PROVIDERS = ("openai", "anthropic", "gemini", "mistral")
AGENTS = ("openai-python", "langchain", "curl", "litellm", "node")
NOW = FakeClock()()
LAST, WEEK, MONTH, FIRST = "2026-01-14", "2026-01-08", "2025-12-15", "2025-10-17"

MONTHLY = {"start_date": MONTH, "end_date": LAST}
QUARTER = {"start_date": FIRST, "end_date": LAST}
TIMES = {"start_date": f"{MONTH} 06:30:00", "end_date": f"{LAST} 09:00:00"}
VIEWS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("GET", "/global/spend", {}),
    ("GET", "/global/spend", QUARTER),
    *(("GET", "/global/spend/report", MONTHLY | {"group_by": group}) for group in ("team", "customer", "api_key")),
    ("GET", "/global/spend/report", QUARTER | {"group_by": "customer"}),
    ("GET", "/global/spend/report", MONTHLY | {"api_key": HASHES[0]}),
    ("GET", "/global/spend/report", MONTHLY | {"internal_user_id": "user-0"}),
    ("GET", "/global/spend/report", MONTHLY | {"team_id": "team-0"}),
    ("GET", "/global/spend/report", MONTHLY | {"customer_id": "customer-0"}),
    ("GET", "/global/spend/logs", {}),
    ("GET", "/global/spend/logs", {"api_key": HASHES[0]}),
    ("GET", "/global/spend/keys", {"limit": 100}),
    ("GET", "/global/spend/models", {}),
    ("GET", "/global/spend/teams", {}),
    ("GET", "/global/spend/provider", MONTHLY),
    ("GET", "/global/spend/tags", MONTHLY),
    ("GET", "/global/spend/all_tag_names", {}),
    ("POST", "/global/spend/end_users", {}),
    ("POST", "/global/spend/end_users", {"api_key": HASHES[0]}),
    ("GET", "/global/all_end_users", {}),
    ("GET", "/global/activity", MONTHLY),
    ("GET", "/global/activity/model", MONTHLY),
    ("GET", "/global/activity/exceptions", MONTHLY | {"model_group": "group-0"}),
    ("GET", "/global/activity/exceptions/deployment", MONTHLY | {"model_group": "group-0"}),
    ("GET", "/global/activity/cache_hits", MONTHLY),
    ("GET", "/spend/keys", {}),
    ("GET", "/spend/users", {}),
    ("GET", "/spend/tags", {}),
    ("GET", "/spend/logs", MONTHLY),
    ("GET", "/spend/logs", MONTHLY | {"api_key": HASHES[0]}),
    ("GET", "/spend/logs", MONTHLY | {"user_id": "user-0"}),
    ("GET", "/spend/logs", {"request_id": "answer-77"}),
    ("GET", "/spend/logs/v2", TIMES),
    ("GET", "/spend/logs/v2", TIMES | {"page": 20_000, "page_size": 100}),
    ("GET", "/spend/logs/v2", TIMES | {"page_size": 100, "sort_by": "spend"}),
    ("GET", "/spend/logs/v2", TIMES | {"api_key": HASHES[0], "page_size": 100, "page": 50}),
    ("GET", "/spend/logs/v2", TIMES | {"team_id": "team-49", "page_size": 100}),
    ("GET", "/spend/logs/v2", TIMES | {"user_id": "user-3", "page_size": 100}),
    ("GET", "/spend/logs/v2", TIMES | {"end_user": "customer-9"}),
    ("GET", "/spend/logs/v2", TIMES | {"status_filter": "failure", "page_size": 100}),
    ("GET", "/spend/logs/v2", TIMES | {"model": "model-19", "page_size": 100}),
    ("GET", "/spend/logs/v2", TIMES | {"min_spend": 0.0999, "page_size": 100}),
    ("GET", "/spend/logs/v2", TIMES | {"error_message": "nobody says this"}),
    ("GET", "/spend/logs/ui", TIMES | {"session_id": "session-5"}),
    ("GET", "/spend/logs/ui/answer-77", {}),
    ("GET", "/spend/logs/session/ui", {"session_id": "session-5"}),
    ("GET", "/key/spend/report", MONTHLY | {"api_key": HASHES[0]}),
    ("GET", "/user/spend/report", MONTHLY | {"user_id": "user-0"}),
    ("GET", "/team/spend/report", MONTHLY | {"team_id": "team-0"}),
    ("GET", "/organization/spend/report", MONTHLY | {"organization_id": "organization-0"}),
    ("GET", "/team/spend/by_user", MONTHLY | {"team_id": "team-0"}),
    ("GET", "/user/daily/activity", MONTHLY),
    ("GET", "/user/daily/activity", MONTHLY | {"user_id": "user-0"}),
    *(
        ("GET", f"/{kind}/daily/activity{form}", MONTHLY)
        for kind in ("user", "team", "tag", "organization", "customer")
        for form in ("", "/aggregated")
    ),
    ("GET", "/team/daily/activity", MONTHLY | {"team_ids": "team-0"}),
    ("GET", "/team/daily/activity", MONTHLY | {"team_ids": "team-0", "api_key": HASHES[0]}),
    ("GET", "/end_user/daily/activity", MONTHLY | {"end_user_ids": "customer-0"}),
    ("GET", "/key/info", {"key": HASHES[0]}),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=DEFAULT_ROWS)
    parser.add_argument("--folder", type=Path, default=REPO / ".bench", help="where the ledger is kept")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="measure views whose path contains this")
    options = parser.parse_args()
    measure(options.rows, options.folder, rounds=options.rounds, only=options.only)


def measure(rows: int, folder: Path, *, rounds: int = 5, only: str = "") -> bool:
    """Prints the table of views; whether all of them were fast enough."""
    home = folder / f"ledger-{rows}"
    if not (home / "complete").exists():
        make_ledger(home, rows)
    size = (home / "tollway.db").stat().st_size
    print(f"\n**Spend views on {rows:,} ledger rows** ({size / 2**30:.1f} GiB, medians of {rounds})\n")
    print("| view | ms | CPU ms | KB | |\n|---|--:|--:|--:|---|")
    return asyncio.run(_measure(home, rounds, only))


async def _measure(home: Path, rounds: int, only: str) -> bool:
    is_fast = True
    async with open_management(home) as management:
        spare_what_lives_on()  # as the gateway does once it has started
        for method, path, query in VIEWS:
            if only not in path:
                continue
            taken, used, size = [], [], 0
            for _ in range(rounds):
                started, used_before = time.perf_counter(), time.process_time()
                size = await _ask(management, method, path, query)
                taken.append((time.perf_counter() - started) * 1e3)
                used.append((time.process_time() - used_before) * 1e3)
            median = statistics.median(taken)
            is_fast = is_fast and median <= LIMIT_MS
            shown = " ".join(f"{name}={str(value)[:12]}" for name, value in query.items())
            verdict = "pass" if median <= LIMIT_MS else "**FAIL**"
            figures = f"{median:.0f} | {statistics.median(used):.0f} | {size / 1024:.0f}"
            print(f"| {method} {path} {shown} | {figures} | {verdict} |", flush=True)
    return is_fast


async def _ask(management: Management, method: str, path: str, query: dict[str, Any]) -> int:
    asked = management.get(path, **query) if method == "GET" else management.post(path, query)
    response = await asked
    if response.status_code != 200:
        raise SystemExit(f"{method} {path} {query}: {response.status_code} {response.text[:300]}")
    return len(response.content)


def make_ledger(home: Path, rows: int) -> None:
    """A database as a gateway would have written it, a day of records at a time; one cut short is gone on with."""
    home.mkdir(parents=True, exist_ok=True)
    path = home / "tollway.db"
    started = time.monotonic()
    asyncio.run(upgrade(sqlite_url(path)))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute("PRAGMA cache_size=-1000000")
        (newest,) = connection.execute("SELECT max(started_at) FROM ledger").fetchone()
        last_day = -1 if newest is None else newest // MICROS_PER_DAY
        if newest is None:
            _insert_entities(connection)
        for number, day in itertools.groupby(_records(rows), key=lambda record: record.started_at // MICROS_PER_DAY):
            records = list(day)
            if number <= last_day:
                continue
            usage, totals = rollup_rows(records)
            for table, values in (
                (ledger, map(ledger_row, records)),
                (daily_usage, usage),
                (daily_totals, totals),
            ):
                names = table.columns.keys()
                marks = ", ".join("?" * len(names))
                connection.executemany(f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({marks})", values)
            connection.commit()
    (home / "complete").touch()
    print(f"# {rows:,} records written in {time.monotonic() - started:.0f} s", file=sys.stderr)


def _insert_entities(connection: sqlite3.Connection) -> None:
    made = "2025-10-01 00:00:00.000000"

    def insert(table: str, **values: Any) -> None:
        marks = ", ".join("?" * len(values))
        connection.execute(f"INSERT INTO {table} ({', '.join(values)}) VALUES ({marks})", list(values.values()))

    history = {"created_at": made, "updated_at": made}
    documents = {"models": "[]", "metadata": "{}", "options": "{}"}
    key_documents = documents | {"aliases": "{}", "allowed_routes": "[]", "permissions": "{}"}
    for number, key_hash in enumerate(HASHES):
        owner = {"user_id": f"user-{number % USERS}", "team_id": f"team-{number % TEAMS}"}
        name = {"key_hash": key_hash, "spend_id": key_hash, "key_name": "sk-...abcd", "key_alias": f"alias-{number}"}
        insert("virtual_keys", **name, **owner, **key_documents, **history)
    for number in range(USERS):
        insert("users", user_id=f"user-{number}", user_role="internal_user", **documents, **history)
    for number in range(TEAMS):
        organization = f"organization-{number % ORGANIZATIONS}"
        more = {"organization_id": organization, "model_aliases": "{}", "member_permissions": "[]"}
        insert("teams", team_id=f"team-{number}", team_alias=f"Team {number}", **more, **documents, **history)


def _records(rows: int) -> Iterator[Record]:
    pick = random.Random(20260114)
    weights = list(itertools.accumulate(1 / (20 + number) for number in range(KEYS)))
    step = DAYS * MICROS_PER_DAY // rows
    for number in range(rows):
        key = bisect.bisect(weights, pick.random() * weights[-1])
        model = (key * 7 + min(int(pick.expovariate(0.9)), 5)) % MODELS
        at = int(NOW * 1e6) - (rows - number) * step
        chance = pick.random()
        is_failure, is_limited = chance < 0.02, chance < 0.007
        team = key % TEAMS
        yield Record(
            record_id=new_record_id(at // 1000),
            kind="call",
            started_at=at,
            ended_at=at + 200_000 + int(chance * 5e6),
            call_id=f"call-{number}",
            response_id=f"answer-{number}",
            call_type="acompletion",
            route="/v1/chat/completions",
            is_success=not is_failure,
            status_code=429 if is_limited else 500 if is_failure else 200,
            error_class="RateLimitError" if is_limited else "",
            error_message="upstream said no" if is_failure else "",
            key_hash=HASHES[key],
            key_alias=f"alias-{key}",
            user_id=f"user-{key % USERS}",
            team_id=f"team-{team}",
            organization_id=f"organization-{team % ORGANIZATIONS}",
            end_user=f"customer-{key * 25 + int(chance * 1e6) % 25}" if key < APPLICATIONS else "",
            session_id=f"session-{number // 400}" if number % 20 == 0 else "",
            model=f"model-{model}",
            model_group=f"group-{model}",
            model_id=f"deployment-{model}",
            provider=PROVIDERS[model % len(PROVIDERS)],
            api_base="https://api.example.com/v1",
            usage=Usage(input_tokens=200 + int(chance * 2000), output_tokens=20 + int(chance * 400)),
            cost_nanos=int(chance * 1e8),
            client_ip="10.0.0.1",
            user_agent=AGENTS[key % 5],
            tags=(f"User-Agent: {AGENTS[key % 5]}", f"tag-{(key + int(chance * 300) % 3) % TAGS}"),
            metadata=b'{"run":7}',
            charges=(Charge("api_key", HASHES[key], 0),),
        )


if __name__ == "__main__":
    main()
