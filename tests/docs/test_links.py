"""Every link between pages leads somewhere."""

from pathlib import Path

import pytest
from tests.docs.pages import CLONE, DOCS, PAGES, read_anchors, read_links


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(CLONE)))
def test_links_resolve(page: Path) -> None:
    broken = []
    for link in read_links(page):
        if link.startswith(("https://", "http://", "mailto:")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        is_found = target.exists() and (not anchor or anchor in read_anchors(target))
        if not is_found:
            broken.append(link)
    assert broken == []


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached: set[Path] = set()
    ahead = [CLONE / "README.md"]
    while ahead:
        page = ahead.pop()
        if page in reached:
            continue
        reached.add(page)
        links = (link.partition("#")[0] for link in read_links(page) if "://" not in link)
        ahead += [target for link in links if (target := (page.parent / link).resolve()).suffix == ".md"]
    assert {page for page in PAGES if DOCS in page.parents} <= reached
