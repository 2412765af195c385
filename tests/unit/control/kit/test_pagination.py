from __future__ import annotations

from tollway.control.kit.pagination import Page


def test_pages_are_counted_from_one() -> None:
    assert [Page(number, 10).offset for number in (1, 2, 3)] == [0, 10, 20]
    assert [Page(1, 10).pages(total) for total in (0, 1, 10, 11)] == [0, 1, 1, 2]


def test_no_page_is_further_than_a_database_counts() -> None:
    assert Page(10**30, 100).offset == 2**63 - 1
