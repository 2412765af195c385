"""Changing the models of the database. Whatever is stored has been read and compiled by the rules of the file first."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

import msgspec

from tollway.config.model_list import protect_params
from tollway.config.sealing import CannotOpen, sealed_texts
from tollway.config.stored import open_params, seal_params
from tollway.control.kit.context import Context, Unit
from tollway.control.kit.rows import Rows
from tollway.control.kit.stored import (
    ModelRows,
    check_model,
    check_written,
    holds_secret,
    is_of_file,
    merged,
    public_name,
    show_params,
    storing,
)
from tollway.control.models.rendering import render_info, without_own_info
from tollway.control.models.schemas import ModelChange, ModelNew
from tollway.core.errors import ClientError, Conflict, Forbidden, InvalidRequest, NotFound
from tollway.core.principal import Role
from tollway.db.teams import teams
from tollway.ports.models import StoredModel
from tollway.stores.sql.rows import Team

_TABLE = "LiteLLM_ProxyModelTable"
_ID_LENGTH = 255


class Written(msgspec.Struct, frozen=True):
    """A model that was stored, and what ought to be known about it."""

    row: StoredModel
    warnings: list[str]


class ModelService:
    """Models of the database, for one request."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._services = context.services

    async def create(self, body: ModelNew) -> Written:
        """Adds a model. Raises `InvalidRequest` for one that cannot be called."""
        info = _checked_ids(body.model_info)
        team_id = info.pop("team_id", None)
        capacity = self._require_over(team_id)
        self._context.check_fields(capacity, body.changes())
        model_id = str(info.pop("id", None) or uuid.uuid4())
        row = StoredModel(
            model_id=model_id,
            model_name=body.model_name,
            info=without_own_info(info),
            created_at=self._context.now,
            created_by=self._context.actor.user_id,
            updated_at=self._context.now,
            updated_by=self._context.actor.user_id,
        )
        row = _given_to(team_id, row, str(info.get("team_public_model_name") or body.model_name))
        await self._services.sealer.ready()
        async with storing(self._context) as unit:
            rows = ModelRows(unit.connection)
            if is_of_file(self._services, model_id) or await rows.find(model_id) is not None:
                raise Conflict(f"There is a model with the id '{model_id[:100]}' already.", param="model_info.id")
            await self._check_team(unit, team_id)
            warnings = check_written(
                self._services, body.litellm_params, field="litellm_params", lends_secrets=capacity is Role.PROXY_ADMIN
            )
            params = protect_params(merged({}, body.litellm_params))
            written, more = await self._sealed(unit, row, params)
            await rows.insert(written)
            self._note(unit, "created", None, written)
        return Written(written, warnings + more)

    async def update(self, model_id: str, body: ModelChange, *, missing: ClientError, fixed: ClientError) -> Written:
        """Changes the fields that are sent. Raises `missing` where no such model is, `fixed` for one of the file."""
        sent_info = _checked_ids(body.model_info)
        await self._services.sealer.ready()
        async with storing(self._context) as unit:
            rows = ModelRows(unit.connection)
            before = await self._found(rows, model_id, missing=missing, fixed=fixed)
            team_id = sent_info.pop("team_id", before.team_id)
            capacity = self._require_over(before.team_id)
            if team_id != before.team_id:
                capacity = self._require_over(team_id)
                await self._check_team(unit, team_id)
            self._context.check_fields(capacity, body.changes())
            row = msgspec.structs.replace(self._touched(before), info=merged(before.info, without_own_info(sent_info)))
            row = _given_to(team_id, row, body.model_name or public_name(row))
            params, warnings = self._changed_params(before, body.litellm_params, capacity)
            written, more = await self._sealed(unit, row, params)
            await rows.replace(written)
            self._note(unit, "updated", before, written)
        return Written(written, warnings + more)

    async def delete(self, model_id: str) -> None:
        """Removes a model."""
        async with storing(self._context) as unit:
            rows = ModelRows(unit.connection)
            before = await self._found(
                rows,
                model_id,
                missing=_not_in_database(model_id),
                fixed=InvalidRequest(
                    f"Model with id={model_id[:100]} is defined in the configuration file. Remove it there.",
                    param="id",
                    type="bad_request_error",
                ),
            )
            self._context.check_fields(self._require_over(before.team_id), {"id": model_id})
            await rows.delete(rows.table.c.model_id == model_id)
            self._note(unit, "deleted", before, None)

    async def set_blocked(self, model_id: str, *, is_blocked: bool) -> StoredModel:
        """Takes a model out of use, or back."""
        async with storing(self._context) as unit:
            rows = ModelRows(unit.connection)
            before = await self._found(rows, model_id, missing=_not_in_database(model_id), fixed=read_only("model_id"))
            self._context.check_fields(self._require_over(before.team_id), {"model_id": model_id})
            after = msgspec.structs.replace(self._touched(before), is_blocked=is_blocked)
            await rows.replace(after)
            self._note(unit, "blocked" if is_blocked else "unblocked", before, after)
        return after

    def _require_over(self, team_id: str | None) -> Role:
        """What the caller is to the models of a team. Raises `Forbidden` where they are not theirs to change."""
        actor = self._context.actor
        if actor.is_admin:
            return Role.PROXY_ADMIN
        if team_id is not None and team_id in actor.administered_teams:
            return Role.TEAM_ADMIN
        raise Forbidden(
            f"User does not have permission to make this model call. Your role={actor.role}. You can only make model "
            "calls if you are a PROXY_ADMIN or if you are a team admin, by specifying a team_id in the model_info.",
            param="None",
        )

    async def _check_team(self, unit: Unit, team_id: str | None) -> None:
        if team_id is not None and await Rows(unit.connection, teams, Team).find(team_id) is None:
            raise InvalidRequest(
                f"Team doesn't exist in db. Team={str(team_id)[:100]}. Make it with POST /team/new.",
                param="model_info.team_id",
                type="bad_request_error",
            )

    async def _found(self, rows: ModelRows, model_id: str, *, missing: ClientError, fixed: ClientError) -> StoredModel:
        found = await rows.find(model_id)
        if found is not None:
            return found
        if not self._context.actor.is_admin:
            self._require_over(None)  # whether it exists is not for everybody to know
        raise fixed if is_of_file(self._services, model_id) else missing

    def _touched(self, row: StoredModel) -> StoredModel:
        return msgspec.structs.replace(row, updated_at=self._context.now, updated_by=self._context.actor.user_id)

    def _changed_params(
        self, before: StoredModel, sent: Mapping[str, Any] | None, capacity: Role
    ) -> tuple[dict[str, Any], list[str]]:
        """The parameters after a change, with nothing sealed in them.

        A team's admin who changes them sends every secret anew: one of somebody else's must not go to an address of
        theirs.
        """
        is_lent = capacity is Role.PROXY_ADMIN
        try:
            stored = open_params(before, self._services.sealer)
        except CannotOpen as error:
            if sent is None or not is_lent:
                raise InvalidRequest(
                    f"What is sealed in this model cannot be opened: {error}. Send its secrets anew.",
                    param="litellm_params",
                    type="bad_request_error",
                ) from None
            stored = {name: value for name, value in before.params.items() if next(sealed_texts(value), None) is None}
        if sent is None:
            return stored, []
        if not is_lent:
            stored = {name: value for name, value in stored.items() if not holds_secret(name, value)}
        warnings = check_written(self._services, sent, field="litellm_params", lends_secrets=is_lent)
        return protect_params(merged(stored, sent)), warnings

    async def _sealed(self, unit: Unit, row: StoredModel, params: Mapping[str, Any]) -> tuple[StoredModel, list[str]]:
        warnings = await check_model(self._services, unit.connection, row, params)
        sealed = seal_params(params, row.model_id, self._services.sealer)
        return msgspec.structs.replace(row, params=sealed), warnings

    def _note(self, unit: Unit, action: str, before: StoredModel | None, after: StoredModel | None) -> None:
        row = after or before
        assert row is not None
        unit.audit(action, _TABLE, row.model_id, before=self._shown(before), after=self._shown(after))
        unit.tell("model", row.model_id)

    def _shown(self, row: StoredModel | None) -> dict[str, Any] | None:
        if row is None:
            return None
        return {
            "model_name": row.model_name,
            "litellm_params": show_params(self._services, row),
            "model_info": render_info(row),
            "blocked": row.is_blocked,
        }


def read_only(param: str) -> InvalidRequest:
    """Refuses to change a model of the file."""
    return InvalidRequest(
        "Can't edit model. Model in config. Change it in the configuration file; it is reloaded on SIGHUP.",
        param=param,
        type="validation_error",
    )


def not_found(param: str) -> NotFound:
    """No such model."""
    return NotFound("model not found", param=param)


def _not_in_database(model_id: str) -> InvalidRequest:
    return InvalidRequest(f"Model with id={model_id[:100]} not found in db", param="None", type="auth_error")


def _checked_ids(info: Mapping[str, Any] | None) -> dict[str, Any]:
    """A copy, in which ids are texts or nothing. Raises `InvalidRequest`."""
    for name in ("id", "team_id", "team_public_model_name"):
        value = (info or {}).get(name)
        if value is not None and (not isinstance(value, str) or not value or len(value) > _ID_LENGTH):
            raise InvalidRequest(
                f"model_info.{name} must be a text of 1 to {_ID_LENGTH} characters.",
                param=f"model_info.{name}",
                type="bad_request_error",
            )
    return dict(info or {})


def _given_to(team_id: str | None, row: StoredModel, public: str) -> StoredModel:
    """The model as that team's own, under a name made for it; as everybody's for None."""
    info = {name: value for name, value in row.info.items() if name != "team_public_model_name"}
    if team_id is None:
        return msgspec.structs.replace(row, model_name=public, info=info, team_id=None)
    name = row.model_name if row.team_id == team_id else f"model_name_{team_id}_{uuid.uuid4()}"
    info["team_public_model_name"] = public
    return msgspec.structs.replace(row, model_name=name, info=info, team_id=team_id)
