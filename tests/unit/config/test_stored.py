from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tollway.accounting.price_book import PriceBook
from tollway.config.compile import compile_snapshot
from tollway.config.configuration import Configuration, combine
from tollway.config.load import load
from tollway.config.problem import ConfigurationError, Problem
from tollway.config.sealing import Sealer
from tollway.config.secret import Secret
from tollway.config.stored import OWN_VARIABLES, lendable, read_additions, seal_credential, seal_params
from tollway.core.snapshot import Deployment, Snapshot
from tollway.ports.models import Stored, StoredCredential, StoredModel
from tollway.routing.router import Router

PRICES = PriceBook.load()
MADE: dict[str, Any] = {
    "created_at": datetime(2026, 1, 1, tzinfo=UTC),
    "updated_at": datetime(2026, 1, 1, tzinfo=UTC),
}
FILE = """
model_list:
- {model_name: file, litellm_params: {model: openai/gpt-4o, api_key: sk-1}, model_info: {id: file-1}}
- {model_name: lent, litellm_params: {model: openai/gpt-4o, litellm_credential_name: stored}}
credential_list:
- {credential_name: listed, credential_values: {api_key: os.environ/KEY, api_base: "http://127.0.0.1:9/v1"}}
"""


def model(model_id: str, name: str = "m", **more: Any) -> StoredModel:
    params = more.pop("params", {"model": "openai/gpt-4o", "api_key": "sk-1"})
    return StoredModel(model_id=model_id, model_name=name, params=params, **more, **MADE)


def credential(name: str, **values: Any) -> StoredCredential:
    return StoredCredential(credential_name=name, credential_values=values, **MADE)


@pytest.fixture
async def sealer() -> Sealer:
    made = Sealer(lambda: "sk-salt")
    await made.ready()
    return made


class Compiled:
    def __init__(self, snapshot: Snapshot, notices: list[Problem]) -> None:
        self.snapshot = snapshot
        self.notices = combine(notices)

    def deployments(self, name: str) -> list[Deployment]:
        group = self.snapshot.groups.get(name)
        return list(group.deployments) if group is not None else []

    def key(self, name: str) -> str:
        return dict(self.deployments(name)[0].endpoints["chat"].headers)["Authorization"].removeprefix("Bearer ")


def read(folder: Path, text: str = FILE, **environ: str) -> Configuration:
    file = folder / "config.yaml"
    file.write_text(text)
    return load(file, environ={"HOME": str(folder), "KEY": "sk-of-the-environment"} | environ)


def compiled(configuration: Configuration, stored: Stored | None, sealer: Sealer) -> Compiled:
    environ = lendable(configuration.environ, configuration.server, "sk-master")
    notices: list[Problem] = []
    snapshot = compile_snapshot(
        configuration,
        prices=PRICES,
        stored=read_additions(stored, configuration, environ=environ, sealer=sealer) if stored is not None else None,
        version=1,
        notices=notices,
    )
    return Compiled(snapshot, notices)


def test_a_wrong_row_is_left_out_and_named_and_breaks_nothing(tmp_path: Path, sealer: Sealer) -> None:
    rows = (
        model("good", "good"),
        model("typo", "typo", params={"model": "openai/gpt-4o", "api_bas": "x"}),
        model("huge", "huge", params={"model": "openai/gpt-4o", "timeout": 10**400}),
        model("vendor", "vendor", params={"model": "nobody/x"}),
        model("file-1", "twin"),
        model("lonely", "lonely", params={"model": "openai/gpt-4o", "litellm_credential_name": "no"}),
    )
    result = compiled(read(tmp_path), Stored(models=rows), sealer)
    assert set(result.snapshot.groups) == {"file", "good"}
    for said in (
        "model typo (typo)",
        "did you mean `api_base`?",
        "model huge",
        "model vendor",
        "is the id of the model of",
        "lonely",
    ):
        assert said in result.notices


def test_rows_that_do_not_open_are_named_together_and_the_others_served(tmp_path: Path, sealer: Sealer) -> None:
    params = {"model": "openai/gpt-4o", "api_key": Secret("sk-2")}
    rows = (
        model("1", "one", params=seal_params(params, "1", sealer)),
        model("2", "two", params=seal_params(params, "1", sealer)),
        model("3", "three", params=seal_params(params, "1", sealer)),
    )
    result = compiled(read(tmp_path), Stored(models=rows), sealer)
    assert result.key("one") == "sk-2"
    assert set(result.snapshot.groups) == {"file", "one"}
    assert "model two (2), model three (3): left out, what is sealed in it cannot be opened" in result.notices
    assert "LITELLM_SALT_KEY" in result.notices


def test_a_blocked_row_is_left_out_without_a_word(tmp_path: Path, sealer: Sealer) -> None:
    result = compiled(read(tmp_path), Stored(models=(model("1", is_blocked=True),)), sealer)
    assert result.deployments("m") == []
    assert "model m" not in result.notices


def test_credentials_of_both_sides_serve_models_of_both(tmp_path: Path, sealer: Sealer) -> None:
    params = {"model": "openai/gpt-4o", "litellm_credential_name": "listed"}
    stored = Stored(
        models=(model("1", params=params), model("2", "own", params=params | {"api_key": "sk-own"})),
        credentials=(
            StoredCredential(
                credential_name="stored",
                credential_values=seal_credential({"api_key": Secret("sk-stored")}, "stored", sealer),
                **MADE,
            ),
            credential("listed", api_key="sk-shadowed"),
        ),
    )
    result = compiled(read(tmp_path), stored, sealer)
    assert result.key("m") == "sk-of-the-environment"
    assert result.deployments("m")[0].api_base == "http://127.0.0.1:9/v1"
    assert result.key("own") == "sk-own"
    assert result.key("lent") == "sk-stored"
    assert b"credential" not in b"".join(result.deployments("lent")[0].defaults)  # type: ignore[arg-type]


def test_a_credential_that_may_yet_turn_up_stops_nothing(tmp_path: Path, sealer: Sealer) -> None:
    configuration = read(tmp_path)
    before = compiled(configuration, None, sealer)
    assert set(before.snapshot.groups) == {"file"}
    assert "litellm_credential_name" not in before.notices
    after = compiled(configuration, Stored(), sealer)
    assert set(after.snapshot.groups) == {"file"}
    assert "lent: litellm_credential_name: left out: is the name of no credential" in after.notices


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("{credential_values: {}}", "expected `credential_name` and `credential_values`"),
        ("{credential_name: a, credential_values: {api_kye: x}}", "did you mean `api_key`?"),
        ("{credential_name: a, credential_values: x}", "expected `credential_name` and `credential_values`"),
        ("{credential_name: a, credential_values: {}}\n- {credential_name: a, credential_values: {}}", "another"),
        ("{credential_name: a, credential_values: {}, credential_inf: {}}", "did you mean `credential_info`?"),
    ],
)
def test_a_wrong_credential_of_the_file_is_named(tmp_path: Path, entry: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match="credential_list") as caught:
        read(tmp_path, f"credential_list:\n- {entry}\n")
    assert said in str(caught.value)


def test_the_gateways_own_secrets_are_not_lent_under_any_name(tmp_path: Path, sealer: Sealer) -> None:
    assert {"LITELLM_MASTER_KEY", "TOLLWAY_MASTER_KEY", "LITELLM_SALT_KEY", "TOLLWAY_SALT_KEY"} <= OWN_VARIABLES
    own = {"LITELLM_MASTER_KEY": "sk-given", "MINE": "sk-given", "LITELLM_SALT_KEY": "sk-salty", "ALSO": " sk-salty\n"}
    configuration = read(tmp_path, FILE, **own, GENERATED="sk-master")
    lent = lendable(configuration.environ, configuration.server, "sk-master")
    assert set(lent) == {"HOME", "KEY"}
    params = {"model": "openai/gpt-4o", "api_key": "os.environ/MINE"}
    result = compiled(configuration, Stored(models=(model("1", params=params),)), sealer)
    assert "Authorization" not in dict(result.deployments("m")[0].endpoints["chat"].headers)


def test_a_teams_model_of_the_file_is_the_teams_alone(tmp_path: Path, sealer: Sealer) -> None:
    text = (
        "model_list:\n- {model_name: x, litellm_params: {model: openai/gpt-4o, api_key: sk-1}, "
        "model_info: {team_id: t-1, team_public_model_name: ours}}\n"
        "- {model_name: t/*, litellm_params: {model: openai/*, api_key: sk-1}, model_info: {team_id: t-1}}\n"
    )
    router = Router(compiled(read(tmp_path, text), None, sealer).snapshot)
    assert router.group("ours") is None
    assert router.group("t/gpt-4o") is None
    own, starred = router.group("ours", "t-1"), router.group("t/gpt-4o", "t-1")
    assert own is not None
    assert starred is not None
    assert own.team_id == starred.team_id == "t-1"
    assert next(iter(router.names("t-1"))) == "ours"
