"""A process that records calls as fast as it can until it is killed: `python -m tests.support.ledger_writer FOLDER`.

Before each record it says `try ID` on standard output and after it `ack ID`, so that a reader knows which records were
acknowledged and which single one was under way when it died. Meanwhile it flushes to the database all the time.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path

from tests.support.records import make_record

from tollway.accounting.journal import FileJournal
from tollway.accounting.ledger import Ledger
from tollway.db.engine import open_engine
from tollway.db.url import sqlite_url
from tollway.stores.memory.counters import MemoryCounterStore
from tollway.stores.sql.ledger import SqlLedgerStore


async def record_calls(folder: Path) -> None:
    engine = open_engine(sqlite_url(folder / "tollway.db"))
    journal = FileJournal(folder / "journal")
    counters = MemoryCounterStore(time.time)
    ledger = Ledger(journal, SqlLedgerStore(engine), counters, interval_s=0.001, batch_size=7)
    await ledger.replay()
    ledger.start()
    while True:
        record = make_record(time.time_ns() // 1000)
        os.write(1, f"try {record.record_id}\n".encode())
        await journal.append(record)
        os.write(1, f"ack {record.record_id}\n".encode())
        await asyncio.sleep(0)


if __name__ == "__main__":
    asyncio.run(record_calls(Path(sys.argv[1])))
