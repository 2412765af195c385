"""Changing settings. What is sent is read by the rules of the file first; nothing is stored that those refuse."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from tollway.config.configuration import Configuration, StoredSettings
from tollway.config.keys import GENERAL
from tollway.config.keys.over_api import AT_START, ENVIRONMENT
from tollway.config.overlay import DATABASE, concerns, open_settings, protect_setting, seal_setting, show_setting
from tollway.config.problem import ConfigurationError
from tollway.config.sealing import hidden
from tollway.control.kit.context import Context, Unit
from tollway.control.kit.stored import check_written, invalid, merged, sentence, storing
from tollway.control.settings.checking import check_field, check_names, check_sections
from tollway.control.settings.repository import SettingRow, SettingRows
from tollway.control.settings.schemas import ConfigUpdate
from tollway.core.errors import InvalidRequest
from tollway.db.engine import reading

_TABLE = "LiteLLM_Config"
_JOINED = ("litellm_settings", "success_callback")
"""The one list that is added to instead of being replaced: existing clients send what is new."""

Sections = Mapping[str, Mapping[str, Any]]


class SettingService:
    """Settings of the database, for one request."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._services = context.services

    async def update(self, body: ConfigUpdate) -> list[str]:
        """Changes the settings that are sent; what ought to be known about them."""
        check_sections(body.model_extra or {})
        changes = body.changes()
        self._context.check_fields(self._context.actor.role, changes)
        if changes.pop("model_list", None):
            raise InvalidRequest(
                "model_list is not taken here. Add each model with POST /model/new, so that it can be changed and "
                "removed by itself.",
                param="model_list",
                type="bad_request_error",
            )
        sent = {section: settings for section, settings in changes.items() if settings}
        return await self.change(lambda stored: _joined(stored, sent))

    async def update_field(self, name: str, value: Any) -> tuple[dict[str, Any], list[str]]:
        """Changes one setting of the server; what is stored of it now, and what ought to be known."""
        check_field(name)
        self._context.check_fields(self._context.actor.role, {"field_name": name})
        warnings = await self.change(lambda _: {GENERAL.name: {name: value}})
        return await self._stored_values(), warnings

    async def delete_field(self, name: str) -> tuple[dict[str, Any], list[str]]:
        """Forgets one setting of the server. Raises `InvalidRequest` where it is not stored."""
        check_field(name)
        if name not in await self._stored_values():
            raise InvalidRequest(
                f"Field name={name[:100]} not in DB. What the file or the environment says is changed there.",
                param="field_name",
                type="bad_request_error",
            )
        return await self.update_field(name, None)

    async def change(self, decide: Callable[[StoredSettings], Sections]) -> list[str]:
        """Stores what `decide` makes of what is stored, null clearing; what ought to be known about it."""
        await self._services.sealer.ready()
        async with storing(self._context) as unit:
            rows = SettingRows(unit.connection)
            before = {(row.section, row.name): row for row in await rows.all()}
            opened = open_settings(before.values(), self._services.sealer)
            sent = decide(opened)
            warnings = [text for section, settings in sent.items() for text in self._checked(section, settings)]
            after = dict(opened.values)
            for section, settings in sent.items():
                changed = merged(opened.values.get(section, {}), settings, show=show_setting)
                after[section] = {name: protect_setting(section, name, value) for name, value in changed.items()}
            paths = {f"{section}.{name}": (section, name) for section, settings in sent.items() for name in settings}
            configuration = await self._tried(StoredSettings(values=after), paths)
            await self._write(unit, before, opened, after, sent)
        return [*warnings, *_told(configuration, paths, after)]

    def _checked(self, section: str, sent: Mapping[str, Any]) -> list[str]:
        check_names(section, sent)
        return check_written(self._services, sent, field=section, lends_secrets=True)

    async def _tried(self, settings: StoredSettings, paths: Mapping[str, Any]) -> Configuration:
        """What the settings come to. Raises `InvalidRequest` if one of those that were sent could not be used."""
        try:
            configuration = await self._services.try_settings(settings)
        except ConfigurationError as error:
            raise invalid(error.problems) from None
        refused = [one for one in configuration.stored.left_out if any(concerns(one, path) for path in paths)]
        if refused:
            raise invalid(refused)
        return configuration

    async def _write(
        self,
        unit: Unit,
        before: Mapping[tuple[str, str], SettingRow],
        opened: StoredSettings,
        after: Sections,
        sent: Sections,
    ) -> None:
        rows = SettingRows(unit.connection)
        for section, settings in sent.items():
            was: dict[str, Any] = {}
            now: dict[str, Any] = {}
            for name in settings:
                row, value = before.get((section, name)), after[section].get(name)
                if value == opened.values.get(section, {}).get(name) and (row is None or value is not None):
                    continue
                if row is not None:
                    was[name] = hidden(row.value)
                if value is None:
                    await rows.remove(section, name)
                    continue
                written = self._row(section, name, value, row)
                await (rows.insert(written) if row is None else rows.replace(written))
                now[name] = hidden(written.value)
            if was or now:
                self._note(unit, section, was, now)

    def _row(self, section: str, name: str, value: Any, before: SettingRow | None) -> SettingRow:
        context = self._context
        sealed = seal_setting(section, name, value, self._services.sealer)
        touched = {"value": sealed, "updated_at": context.now, "updated_by": context.actor.user_id}
        if before is not None:
            return msgspec.structs.replace(before, **touched)
        return SettingRow(
            section=section, name=name, created_at=context.now, created_by=context.actor.user_id, **touched
        )

    def _note(self, unit: Unit, section: str, was: Mapping[str, Any], now: Mapping[str, Any]) -> None:
        action = "updated" if was and now else "created" if now else "deleted"
        unit.audit(action, _TABLE, section, before=was or None, after=now or None)
        unit.tell("setting", section)

    async def _stored_values(self) -> dict[str, Any]:
        return await stored_values(self._context, GENERAL.name)


async def stored_values(context: Context, section: str) -> dict[str, Any]:
    """What is stored of a section, fit for an answer."""
    async with reading(context.services.engine) as connection:
        return {row.name: hidden(row.value) for row in await SettingRows(connection).of_section(section)}


def _joined(stored: StoredSettings, sent: Sections) -> Sections:
    """What is sent, with the callbacks that are there already."""
    section, name = _JOINED
    new = sent.get(section, {}).get(name)
    old = stored.values.get(section, {}).get(name)
    if not isinstance(new, list) or not isinstance(old, list):
        return sent
    return {**sent, section: {**sent[section], name: [*old, *(one for one in new if one not in old)]}}


def _told(configuration: Configuration, paths: Mapping[str, tuple[str, str]], after: Sections) -> Iterator[str]:
    """What a caller ought to know about the settings that were sent."""
    for notice in configuration.notices:
        if any(concerns(notice, path) for path in paths):
            yield sentence(notice)
    for path, (section, name) in paths.items():
        is_set = name in after.get(section, {})
        origin = _winner(configuration, section, name)
        if is_set and origin is not None:
            yield f"{path}: stored, and without effect as long as {origin} says something else"
        elif path in AT_START:
            yield f"{path}: takes effect at the next start"
    if ENVIRONMENT in {section for section, _ in paths.values()} and not configuration.has_model_list:
        yield "models that a provider key offers by itself are looked for at the next start"


def _winner(configuration: Configuration, section: str, name: str) -> str | None:
    """Who is heard instead of the database."""
    if section == ENVIRONMENT:
        return "the process's own variable" if configuration.written.environ.get(name) else None
    setting = configuration.origins.get(f"{section}.{name}")
    return setting.origin if setting is not None and setting.origin not in (DATABASE, "default") else None
