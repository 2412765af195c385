"""Models, credentials and settings of the database: opened with LiteLLM's salt key, sealed again with ours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, TypeVar

import msgspec

from tollway.config.configuration import StoredSettings
from tollway.config.findings import Findings
from tollway.config.keys.over_api import ENVIRONMENT, STORABLE, find, withheld
from tollway.config.logging_entries import has_entries, open_entries, seal_entries
from tollway.config.model_list import protect_params
from tollway.config.overlay import misfits, protect_setting, seal_setting
from tollway.config.sealing import CannotOpen, Sealer
from tollway.config.stored import open_credential, open_params, read_stored_model, seal_credential, seal_params
from tollway.control.models.rendering import without_own_info
from tollway.control.settings.repository import SettingRow
from tollway.core.reporting import place_of
from tollway.litellm_import.ciphertext import CannotDecrypt, Opener
from tollway.litellm_import.entities import tracked
from tollway.litellm_import.report import Note
from tollway.litellm_import.source import Row
from tollway.litellm_import.target import comparable
from tollway.ports.models import StoredCredential, StoredModel
from tollway.stores.sql.rows import Team
from tollway.stores.sql.virtual_key import VirtualKey

HolderT = TypeVar("HolderT", bound=VirtualKey | Team)

_CLOSED = "cannot be opened with this salt key: give the LITELLM_SALT_KEY it was written with, or set it anew"


class Vault:
    """Opens what LiteLLM encrypted, and seals it as it is kept here."""

    def __init__(self, opener: Opener, sealer: Sealer, environ: Mapping[str, str]) -> None:
        """`environ`: what models may refer to."""
        self._opener = opener
        self._sealer = sealer
        self._environ = environ

    async def ready(self) -> None:
        """Prepares the key that is sealed with. Raises `Misconfigured`."""
        await self._sealer.ready()

    def model(self, row: Row, notes: list[Note]) -> StoredModel:
        """A row of `LiteLLM_ProxyModelTable`."""
        info: dict[str, Any] = row["model_info"] if isinstance(row.get("model_info"), dict) else {}
        team_id = info.get("team_id") if isinstance(info.get("team_id"), str) else None
        kept = {name: value for name, value in without_own_info(info).items() if name not in ("id", "team_id")}
        params = protect_params(self._opened(row.get("litellm_params"), "litellm_params", notes))
        model = StoredModel(
            model_id=row["model_id"],
            model_name=row["model_name"],
            params=seal_params(params, row["model_id"], self._sealer),
            info=kept,
            team_id=team_id,
            is_blocked=bool(row.get("blocked")),
            **tracked(row),
        )
        notes.extend(self._objections(model, params))
        return model

    def credential(self, row: Row, notes: list[Note]) -> StoredCredential:
        """A row of `LiteLLM_CredentialsTable`."""
        name = row["credential_name"]
        values = protect_params(self._opened(row.get("credential_values"), "credential_values", notes))
        info = row.get("credential_info")
        return StoredCredential(
            credential_name=name,
            display_name=row.get("display_name"),
            info=info if isinstance(info, dict) else {},
            credential_values=seal_credential(values, name, self._sealer),
            **tracked(row),
        )

    def with_sealed_entries(self, holder: HolderT) -> HolderT:
        """A key or team whose `metadata.logging` is sealed."""
        if not has_entries(holder.metadata):
            return holder
        metadata = seal_entries(holder.metadata, {}, self._sealer, _place_of(holder))
        return msgspec.structs.replace(holder, metadata=metadata)

    def settings(self, row: Row, now: datetime) -> Iterator[tuple[str, SettingRow | None, list[Note]]]:
        """The settings of a row of `LiteLLM_Config`: their paths, and what is stored of each."""
        section, value = row["param_name"], row.get("param_value")
        if not isinstance(value, dict) or (section != ENVIRONMENT and section not in STORABLE):
            yield section, None, [Note("", "is no section of settings that are kept in the database here")]
            return
        for name, written in value.items():
            notes: list[Note] = []
            path = f"{section}.{name}"
            opened = self._opened({name: written}, "", notes) if section == ENVIRONMENT else {name: written}
            if name in opened and (reason := self._refusal(section, name, opened[name])):
                notes.append(Note("", reason))
            kept = None
            if not notes:
                sealed = seal_setting(section, name, protect_setting(section, name, opened[name]), self._sealer)
                kept = SettingRow(section=section, name=name, value=sealed, created_at=now, updated_at=now)
            yield path, kept, notes

    def is_same(self, stored: Any, made: Any) -> bool:
        """Whether two rows say the same: sealed texts never look alike."""
        if type(stored) is not type(made):
            return False
        try:
            return self._plain(stored) == self._plain(made)
        except CannotOpen:
            return False

    def _plain(self, row: Any) -> tuple[Any, ...]:
        match row:
            case StoredModel():
                return (row.model_name, open_params(row, self._sealer), row.info, row.team_id, row.is_blocked)
            case StoredCredential():
                return (row.display_name, open_credential(row, self._sealer), row.info)
            case SettingRow():
                return (self._sealer.open(row.value, "settings", row.section, row.name),)
            case VirtualKey() | Team():
                metadata = open_entries(row.metadata, self._sealer, _place_of(row))
                return (comparable(msgspec.structs.replace(row, metadata=metadata)),)
            case _:
                return (comparable(row),)

    def _opened(self, values: Any, field: str, notes: list[Note]) -> dict[str, Any]:
        """LiteLLM encrypts every text of the first level, and nothing below."""
        if not isinstance(values, dict):
            notes.append(Note(field, "is no JSON object"))
            return {}
        opened: dict[str, Any] = {}
        for name, value in values.items():
            try:
                opened[name] = self._opener.open(value) if isinstance(value, str) else value
            except CannotDecrypt:
                notes.append(Note(f"{field}.{name}".lstrip("."), _CLOSED))
        return {name: value for name, value in opened.items() if value is not None}

    def _objections(self, model: StoredModel, params: Mapping[str, Any]) -> Iterator[Note]:
        findings = Findings()
        read_stored_model(model, params, environ=self._environ, findings=findings)
        for one in findings.problems:
            yield Note(one.key, f"is kept, and the model left out until it is changed: {one.message}")

    def _refusal(self, section: str, name: str, value: Any) -> str | None:
        """Why a setting is not kept in the database; None if it is."""
        if reason := withheld(section, name, value):
            return f"is said where the gateway is started, not in the database: {reason}"
        if section == ENVIRONMENT:
            return None
        key = find(section, name)
        if key is None:
            return "is a setting that this version does not know"
        if key.support != "supported":
            return "has no effect in this version"
        wrong = misfits(StoredSettings(values={section: {name: value}}), self._environ)
        return wrong[0].message if wrong else None


def _place_of(holder: VirtualKey | Team) -> tuple[str, ...]:
    return place_of("keys", holder.spend_id) if isinstance(holder, VirtualKey) else place_of("teams", holder.team_id)
