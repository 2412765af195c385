"""Which store the configuration gets."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tollway.app.answers import Surroundings, open_answers
from tollway.app.late import Database, LateAnswerTable
from tollway.config.configuration import AnswerKind, AnswerStorage
from tollway.config.sealing import Sealer
from tollway.core.errors import Misconfigured
from tollway.db.pool import PoolSettings
from tollway.ports.responses import ResponseStore
from tollway.ports.similar import SimilarAnswers


def opened(kind: AnswerKind, folder: Path) -> ResponseStore | None:
    storage = AnswerStorage(kind=kind, redis=None, timeout_s=0.05, max_bytes=1_000, folder=folder)
    database = Database("postgresql://h/d", PoolSettings())
    sealer = Sealer(lambda: "sk-salt-of-the-tests")
    return open_answers(storage, Surroundings(database, LateAnswerTable(database), sealer, {}, {}))


def test_what_is_found_by_meaning_too_depends_on_the_kind(tmp_path: Path) -> None:
    kinds: dict[AnswerKind, bool] = {
        "local": False, "disk": False, "database": False, "local-semantic": True, "pgvector-semantic": True,
    }  # fmt: skip
    stores = {kind: opened(kind, tmp_path) for kind in kinds}
    assert {kind: isinstance(store, SimilarAnswers) for kind, store in stores.items()} == kinds
    assert all(store is not None and store.kind == kind for kind, store in stores.items())


def test_without_numpy_it_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numpy", None)
    monkeypatch.delitem(sys.modules, "tollway.stores.memory.similar", raising=False)
    with pytest.raises(Misconfigured, match=r"pip install 'tollway\[semantic\]'") as got:
        opened("local-semantic", tmp_path)
    assert got.value.param == "cache_params.type"
    assert opened("pgvector-semantic", tmp_path) is not None, "Postgres compares by itself"
