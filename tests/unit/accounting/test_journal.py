from __future__ import annotations

import asyncio
import json
import logging
import os
import struct
import subprocess
import sys
import tempfile
import threading
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.records import make_record, records

from tollway.accounting.journal import FileJournal
from tollway.accounting.segment import Damage, Segment, SegmentReader, UnknownVersion
from tollway.core.errors import Misconfigured, Overloaded
from tollway.core.record import Record

RECORDS = [make_record(cost_nanos=number) for number in range(5)]


def stored(segment: Segment, size: int = 500) -> list[Record]:
    return [record for batch in segment.batches(size) for record in batch]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def segment_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.journal"))


async def fill(folder: Path, written: list[Record]) -> tuple[Path, list[int]]:
    """A segment with these records, and where each frame ends."""
    journal = FileJournal(folder)
    ends = []
    for record in written:
        await journal.append(record)
        (path,) = segment_files(folder)
        ends.append(path.stat().st_size)
    journal.close()
    (path,) = segment_files(folder)
    return path, ends


@given(written=st.lists(records, min_size=1, max_size=5), data=st.data())
@settings(max_examples=60, deadline=None)
def test_a_segment_cut_anywhere_gives_every_whole_record_and_no_other(
    written: list[Record], data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as name:
        path, ends = asyncio.run(fill(Path(name), written))
        length = data.draw(st.integers(0, ends[-1]))
        os.truncate(path, length)
        reader = SegmentReader(path)
        whole = sum(end <= length for end in ends)
        assert list(reader) == written[:whole]
        if length == ends[-1]:
            assert reader.damage is None
        elif reader.damage is not None:
            assert reader.damage.is_torn_tail
            assert reader.damage.offset + reader.damage.lost_bytes == length


@given(written=st.lists(records, min_size=1, max_size=5), data=st.data(), flipped=st.integers(1, 255))
@settings(max_examples=100, deadline=None)
def test_a_byte_changed_anywhere_loses_nothing_before_it_and_invents_nothing(
    written: list[Record], data: st.DataObject, flipped: int
) -> None:
    with tempfile.TemporaryDirectory() as name:
        path, ends = asyncio.run(fill(Path(name), written))
        content = bytearray(path.read_bytes())
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] ^= flipped
        path.write_bytes(content)
        reader = SegmentReader(path)
        if 8 <= place < 10:  # the version
            with pytest.raises(UnknownVersion):
                list(reader)
            return
        before = 0 if place < 8 else sum(end <= place for end in ends)
        assert list(reader) == written[:before]
        assert reader.damage is not None


@given(junk=st.binary(min_size=1, max_size=200))
@settings(max_examples=60, deadline=None)
def test_bytes_after_the_last_frame_are_never_taken_for_a_record(junk: bytes) -> None:
    with tempfile.TemporaryDirectory() as name:
        path, _ = asyncio.run(fill(Path(name), RECORDS))
        with path.open("ab") as file:
            file.write(junk)
        reader = SegmentReader(path)
        assert list(reader) == RECORDS
        assert reader.damage is not None
        assert reader.damage.lost_bytes == len(junk)


async def test_a_sealed_segment_gives_its_records_from_memory_and_from_the_file_alike(tmp_path: Path) -> None:
    journal = FileJournal(tmp_path)
    for record in RECORDS:
        await journal.append(record)
    journal.seal()
    (segment,) = journal.sealed()
    assert journal.buffered == 5
    assert [len(batch) for batch in segment.batches(2)] == [2, 2, 1]
    journal.close()

    other = FileJournal(tmp_path)
    assert other.adopt() == 1
    (segment,) = other.sealed()
    assert other.buffered == 0
    assert stored(segment, 2) == RECORDS
    await other.discard(segment)
    assert segment_files(tmp_path) == []


async def test_a_reader_that_failed_begins_again_with_the_group_that_failed(tmp_path: Path) -> None:
    journal = FileJournal(tmp_path)
    for record in RECORDS:
        await journal.append(record)
    journal.seal()
    (segment,) = journal.sealed()
    attempt = segment.batches(2)
    assert next(attempt) == RECORDS[:2]
    assert next(attempt) == RECORDS[2:4]
    del attempt
    journal.forget_records()
    assert stored(segment, 2) == RECORDS[2:]
    journal.close()


async def test_records_beyond_the_memory_limit_are_read_from_the_file(tmp_path: Path) -> None:
    journal = FileJournal(tmp_path, keep_at_most=3)
    for record in RECORDS:
        await journal.append(record)
        assert journal.buffered <= 3
    journal.seal()
    assert stored(journal.sealed()[0]) == RECORDS
    journal.close()


async def test_the_lag_is_the_age_of_the_oldest_record_whether_or_not_it_is_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = FileJournal(tmp_path)
    assert journal.lag_s() == 0
    await journal.append(RECORDS[0])
    journal.seal()
    (oldest,) = journal.sealed()
    later = oldest.opened_at + 90
    monkeypatch.setattr("tollway.accounting.journal.time.time", lambda: later)
    await journal.append(RECORDS[1])
    journal.forget_records()
    assert journal.lag_s() == pytest.approx(90)
    await journal.discard(oldest)
    assert journal.lag_s() < 90
    journal.close()


async def test_an_idle_journal_leaves_no_file(tmp_path: Path) -> None:
    journal = FileJournal(tmp_path)
    journal.seal()
    assert list(journal.sealed()) == []
    journal.close()
    assert names(tmp_path) == []


async def test_only_segments_of_the_dead_are_adopted_and_only_once(tmp_path: Path) -> None:
    dead, alive, first, second = (FileJournal(tmp_path) for _ in range(4))
    await dead.append(RECORDS[0])
    await alive.append(RECORDS[1])
    assert first.adopt() == 0
    dead.close()
    assert (first.adopt(), second.adopt(), first.adopt()) == (1, 0, 0)
    assert stored(first.sealed()[0]) == RECORDS[:1]
    for journal in (alive, first, second):
        journal.close()


async def test_an_unfinished_record_is_reported_and_the_file_goes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, ends = await fill(tmp_path, RECORDS)
    os.truncate(path, ends[-1] - 1)
    journal = FileJournal(tmp_path)
    journal.adopt()
    (segment,) = journal.sealed()
    assert stored(segment) == RECORDS[:-1]
    await journal.discard(segment)
    assert f"ignored {ends[-1] - 1 - ends[-2]} bytes" in caplog.text
    assert names(tmp_path) == []


async def test_a_damaged_segment_is_reported_and_put_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path, ends = await fill(tmp_path, RECORDS)
    content = bytearray(path.read_bytes())
    content[ends[1] + 20] ^= 1
    path.write_bytes(content)
    journal = FileJournal(tmp_path)
    journal.adopt()
    (segment,) = journal.sealed()
    assert stored(segment) == RECORDS[:2]
    await journal.discard(segment)
    assert f"damaged at byte {ends[1]}" in caplog.text
    assert names(tmp_path) == [path.with_suffix(".damaged").name]


async def test_a_segment_of_a_newer_version_is_left_alone_and_named_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "1.journal"
    path.write_bytes(b"TOLLWAYJ\x02\x00whatever comes")
    journal = FileJournal(tmp_path)
    assert journal.adopt() == 0
    assert journal.adopt() == 0
    assert path.exists()
    assert caplog.text.count("start the newer version") == 1
    journal.close()


async def test_a_frame_that_is_sound_but_no_record_counts_as_damage(tmp_path: Path) -> None:
    path, ends = await fill(tmp_path, RECORDS[:1])
    length = struct.pack("<I", 1)
    with path.open("ab") as file:
        file.write(length + struct.pack("<I", zlib.crc32(length + b"\xc0")) + b"\xc0")
    reader = SegmentReader(path)
    assert list(reader) == RECORDS[:1]
    assert reader.damage == Damage(ends[0], 9, is_torn_tail=False)


async def test_whoever_adopts_all_the_time_never_gets_a_living_journals_record(tmp_path: Path) -> None:
    alive, greedy = FileJournal(tmp_path), FileJournal(tmp_path)
    is_over = threading.Event()

    def adopt_until_over() -> None:
        while not is_over.is_set():
            greedy.adopt()

    adopting = threading.Thread(target=adopt_until_over)
    adopting.start()
    try:
        for _ in range(200):
            record = make_record()
            await alive.append(record)
            alive.seal()
            (segment,) = alive.sealed()
            alive.forget_records()
            assert stored(segment) == [record]
            await alive.discard(segment)
    finally:
        is_over.set()
        adopting.join()
    assert [stored(segment) for segment in greedy.sealed()] == [[] for _ in greedy.sealed()]
    alive.close()
    greedy.close()


async def test_a_disk_that_fails_to_sync_refuses_every_call_that_waited_for_it(tmp_path: Path) -> None:
    journal = FileJournal(tmp_path, fsync=True)
    await journal.append(RECORDS[0])
    (path,) = segment_files(tmp_path)
    descriptor = descriptor_of(path)
    kept = os.dup(descriptor)
    with open("/dev/null", "r+b") as unsyncable:  # noqa: ASYNC230, PTH123
        os.dup2(unsyncable.fileno(), descriptor)
        outcomes = await asyncio.gather(*(journal.append(record) for record in RECORDS), return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [Overloaded] * 5
        with pytest.raises(Overloaded):
            journal.check()
    os.dup2(kept, descriptor)
    os.close(kept)
    await journal.append(RECORDS[1])
    journal.check()
    journal.close()


def descriptor_of(path: Path) -> int:
    (number,) = (int(link.name) for link in Path("/proc/self/fd").iterdir() if os.path.realpath(link) == str(path))
    return number


async def test_with_fsync_concurrent_records_are_all_on_disk(tmp_path: Path) -> None:
    journal = FileJournal(tmp_path, fsync=True)
    written = [make_record() for _ in range(50)]
    await asyncio.gather(*(journal.append(record) for record in written))
    (path,) = segment_files(tmp_path)
    assert list(SegmentReader(path)) == written
    journal.seal()
    await journal.discard(journal.sealed()[0])
    journal.close()


async def test_a_cancelled_fsync_disturbs_nobody_else(tmp_path: Path) -> None:
    journal = FileJournal(tmp_path, fsync=True)
    tasks = [asyncio.create_task(journal.append(record)) for record in RECORDS]
    await asyncio.sleep(0)
    tasks[0].cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes[1:]] == [type(None)] * 4
    (path,) = segment_files(tmp_path)
    assert list(SegmentReader(path)) == RECORDS
    journal.seal()
    await journal.discard(journal.sealed()[0])
    journal.close()


def test_a_folder_that_cannot_be_written_is_named_at_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(Misconfigured, match="must be a folder"):
        FileJournal(tmp_path / "file")


async def test_a_refused_record_is_kept_for_the_operator(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    journal = FileJournal(tmp_path)
    journal.reject(RECORDS[0])
    journal.reject(RECORDS[1])
    assert list(SegmentReader(tmp_path / "rejected.frames")) == RECORDS[:2]
    assert journal.adopt() == 0
    assert RECORDS[0].record_id in caplog.text
    journal.close()


FULL_DISK = """
import asyncio, json, resource, sys
from pathlib import Path
from tests.support.records import make_record
from tollway.accounting.journal import FileJournal
from tollway.core.errors import Overloaded

async def main(folder, limit, is_checked):
    journal = FileJournal(Path(folder), probe_interval_s=0)
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, most))
    acknowledged, refused, retry_after = [], 0, None
    while refused < 3:
        record = make_record(user_agent="x" * 1000)
        try:
            await journal.append(record)
            acknowledged.append(record.record_id)
        except Overloaded as error:
            refused += 1
            retry_after = dict(error.headers)[b"retry-after"].decode()
    checked = "not asked"
    if is_checked:
        try:
            journal.check()
        except Overloaded:
            checked = "refused"
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    if is_checked:
        journal.check()
    record = make_record()
    await journal.append(record)
    journal.close()
    print(json.dumps([acknowledged + [record.record_id], checked, retry_after]))

asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3] == "checked"))
"""


@pytest.mark.parametrize("first", ["checked", "appended"])
@pytest.mark.parametrize("limit", [5, 10, 11, 9_000, 50_000])
def test_a_full_disk_refuses_calls_and_recovers_without_losing_a_record(tmp_path: Path, limit: int, first: str) -> None:
    child = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path), str(limit), first],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=True,
    )
    acknowledged, checked, retry_after = json.loads(child.stdout)
    (path,) = segment_files(tmp_path)
    reader = SegmentReader(path)
    assert [record.record_id for record in reader] == acknowledged
    assert reader.damage is None
    assert checked == ("refused" if first == "checked" else "not asked")
    assert retry_after == "1"


async def test_a_fault_is_logged_once_and_so_is_its_end(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    folder = tmp_path / "journal"
    journal = FileJournal(folder, probe_interval_s=0)
    folder.rmdir()
    for _ in range(3):
        with pytest.raises(Overloaded):
            await journal.append(RECORDS[0])
        with pytest.raises(Overloaded):
            journal.check()
    folder.mkdir()
    journal.check()
    journal.check()
    await journal.append(RECORDS[0])
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]
    journal.close()


async def test_between_probes_calls_are_refused_without_touching_the_disk(tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    journal = FileJournal(folder, probe_interval_s=3600)
    folder.rmdir()
    with pytest.raises(Overloaded):
        await journal.append(RECORDS[0])
    folder.mkdir()
    with pytest.raises(Overloaded):
        journal.check()
    await journal.append(RECORDS[0])
    journal.check()
    journal.close()
