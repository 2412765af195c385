"""What can be done with credentials. Those of the configuration file are shown, and changed there alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from tollway.config.findings import Findings
from tollway.config.located import REFERENCE
from tollway.config.model_list import connection_params, protect_params, read_credential
from tollway.config.sealing import CannotOpen, hidden, sealed_texts
from tollway.config.secret import Secret, masked, with_leaves
from tollway.config.stored import open_credential, open_params, seal_credential
from tollway.control.credentials.schemas import CredentialChange, CredentialItem, CredentialNew
from tollway.control.kit.context import Context, Unit
from tollway.control.kit.stored import (
    CredentialRows,
    ModelRows,
    check_model,
    check_written,
    invalid,
    merged,
    public_name,
    storing,
)
from tollway.core.errors import Conflict, InvalidRequest, NotFound
from tollway.db.engine import reading
from tollway.ports.models import StoredCredential, StoredModel

_TABLE = "LiteLLM_CredentialsTable"
_NAMED_AT_MOST = 5


class CredentialService:
    """Credentials, for one request."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._services = context.services

    async def create(self, body: CredentialNew) -> list[str]:
        """Adds a credential; what ought to be known about it."""
        await self._services.sealer.ready()
        async with storing(self._context) as unit:
            self._context.check_fields(self._context.actor.role, body.changes())
            rows = CredentialRows(unit.connection)
            if self._is_of_file(body.credential_name) or await rows.find(body.credential_name) is not None:
                raise Conflict(
                    f"Credential with name '{body.credential_name}' already exists.",
                    param="credential_name",
                    status=409,
                )
            if (body.credential_values is None) == (body.model_id is None):
                raise InvalidRequest(
                    "Send either credential_values, or the model_id of a model to take them from.",
                    param="credential_values",
                    type="bad_request_error",
                )
            values = (
                await self._values_of_model(unit.connection, body.model_id)
                if body.model_id is not None
                else dict(body.credential_values or {})
            )
            row = StoredCredential(
                credential_name=body.credential_name,
                display_name=body.display_name,
                info=body.credential_info,
                created_at=self._context.now,
                created_by=self._context.actor.user_id,
                updated_at=self._context.now,
                updated_by=self._context.actor.user_id,
            )
            warnings, sealed = self._checked(row, merged({}, values))
            await rows.insert(sealed)
            self._note(unit, "created", None, sealed)
        return warnings

    async def update(self, name: str, body: CredentialChange) -> list[str]:
        """Changes what is sent; what ought to be known about it. Models that use it follow at once."""
        if body.credential_name not in (None, name):
            raise InvalidRequest(
                "The name of a credential cannot be changed, models refer to it. Make another one.",
                param="credential_name",
                type="bad_request_error",
            )
        await self._services.sealer.ready()
        async with storing(self._context) as unit:
            self._context.check_fields(self._context.actor.role, body.changes())
            rows = CredentialRows(unit.connection)
            before = await self._found(rows, name)
            changes = body.changes()
            sent = {**dict.fromkeys(body.credential_values_to_delete), **(body.credential_values or {})}
            values = merged(self._opened(before), sent)
            row = msgspec.structs.replace(
                before,
                display_name=changes.get("display_name", before.display_name),
                info={**before.info, **(body.credential_info or {})},
                updated_at=self._context.now,
                updated_by=self._context.actor.user_id,
            )
            warnings, sealed = self._checked(row, values)
            await rows.replace(sealed)
            await self._check_users(unit.connection, name)
            self._note(unit, "updated", before, sealed)
        return warnings

    async def delete(self, name: str) -> None:
        """Removes a credential that no model uses."""
        async with storing(self._context) as unit:
            rows = CredentialRows(unit.connection)
            before = await self._found(rows, name)
            if users := await self._users(unit.connection, name):
                shown = ", ".join(users[:_NAMED_AT_MOST]) + (", …" if len(users) > _NAMED_AT_MOST else "")
                raise Conflict(
                    f"Credential '{name}' is used by {len(users)} model(s): {shown}. Change or delete them first.",
                    param="credential_name",
                    status=409,
                )
            await rows.delete(rows.table.c.credential_name == name)
            self._note(unit, "deleted", before, None)

    async def all(self) -> list[CredentialItem]:
        """Every credential, those of the file first."""
        of_file = self._services.configuration().credentials
        items = [_item(one.name, one.info, protect_params(one.values)) for one in of_file.values()]
        async with reading(self._services.engine) as connection:
            rows = await CredentialRows(connection).all()
        return items + [self._shown(row) for row in rows if row.credential_name not in of_file]

    async def find(self, name: str) -> CredentialItem:
        """One credential. Raises `NotFound`."""
        for item in await self.all():
            if item.credential_name == name:
                return item
        raise _not_found(name)

    async def find_by_model(self, model_id: str) -> CredentialItem:
        """What a model connects with. Raises `NotFound`."""
        async with reading(self._services.engine) as connection:
            name, values = await self._connection_of(connection, model_id)
        return _item(f"{name}-credential-{model_id}", {}, protect_params(values))

    def _is_of_file(self, name: str) -> bool:
        return name in self._services.configuration().credentials

    async def _found(self, rows: CredentialRows, name: str) -> StoredCredential:
        if self._is_of_file(name):
            raise Conflict(
                f"Credential '{name}' is defined in the configuration file. Change it there.",
                param="credential_name",
                status=409,
            )
        found = await rows.find(name)
        if found is None:
            raise _not_found(name)
        return found

    def _opened(self, row: StoredCredential) -> dict[str, Any]:
        """Its values with nothing sealed in them; what cannot be opened is left out, to be set anew."""
        try:
            return open_credential(row, self._services.sealer)
        except CannotOpen:
            values = row.credential_values
            return {name: value for name, value in values.items() if next(sealed_texts(value), None) is None}

    def _checked(self, row: StoredCredential, values: Mapping[str, Any]) -> tuple[list[str], StoredCredential]:
        field = "credential_values"
        warnings = check_written(self._services, values, field=field, lends_secrets=True)
        findings = Findings()
        read_credential(values, self._services.lendable(), "credential", findings)
        if findings.problems:
            raise invalid(findings.problems)
        sealed = seal_credential(_secret(values), row.credential_name, self._services.sealer)
        return warnings, msgspec.structs.replace(row, credential_values=sealed)

    async def _check_users(self, connection: AsyncConnection, name: str) -> None:
        """Raises unless every model that uses the credential can still be called."""
        for row in await self._using(connection, name):
            try:
                params = open_params(row, self._services.sealer)
            except CannotOpen:
                continue  # it is left out already
            await check_model(self._services, connection, row, params)

    async def _using(self, connection: AsyncConnection, name: str) -> list[StoredModel]:
        rows = await ModelRows(connection).all()
        return [row for row in rows if row.params.get("litellm_credential_name") == name]

    async def _users(self, connection: AsyncConnection, name: str) -> list[str]:
        entries = self._services.configuration().models
        of_file = [one.model_name for one in entries if one.litellm_params.get("litellm_credential_name") == name]
        return [*of_file, *(public_name(row) for row in await self._using(connection, name))]

    async def _values_of_model(self, connection: AsyncConnection, model_id: str) -> dict[str, Any]:
        _, values = await self._connection_of(connection, model_id)
        if not values:
            raise InvalidRequest(
                f"Model {model_id[:100]} has no parameters of a connection to take.",
                param="model_id",
                type="bad_request_error",
            )
        return values

    async def _connection_of(self, connection: AsyncConnection, model_id: str) -> tuple[str, dict[str, Any]]:
        """The public name of a model, and what of its parameters belongs to a credential."""
        row = await ModelRows(connection).find(model_id)
        if row is not None:
            if next(sealed_texts(row.params), None) is not None:
                await self._services.sealer.ready()
            try:
                params: Mapping[str, Any] = open_params(row, self._services.sealer)
            except CannotOpen:
                params = hidden(row.params)
            return public_name(row), connection_params(params)
        for entry in self._services.configuration().models:
            if entry.id == model_id:
                return entry.model_name, connection_params(entry.litellm_params)
        raise NotFound(f"Model not found. Got model ID: {model_id[:100]}", param="model_id")

    def _shown(self, row: StoredCredential) -> CredentialItem:
        try:
            values = protect_params(_plain(open_credential(row, self._services.sealer)))
        except CannotOpen:
            values = hidden(row.credential_values)
        return _item(row.credential_name, row.info, values, display_name=row.display_name)

    def _note(self, unit: Unit, action: str, before: StoredCredential | None, after: StoredCredential | None) -> None:
        row = after or before
        assert row is not None
        shown = [self._shown(one).model_dump() if one is not None else None for one in (before, after)]
        unit.audit(action, _TABLE, row.credential_name, before=shown[0], after=shown[1])
        unit.tell("credential", row.credential_name)


def _secret(value: Any) -> Any:
    """A copy in which every text is a `Secret`, whatever it is called; but for references to the environment."""
    return with_leaves(
        value, lambda leaf: Secret(leaf) if isinstance(leaf, str) and not leaf.startswith(REFERENCE) else leaf
    )


def _plain(value: Any) -> Any:
    """A copy in which no text is a `Secret`."""
    return with_leaves(value, lambda leaf: str(leaf) if isinstance(leaf, Secret) else leaf)


def _item(
    name: str, info: Mapping[str, Any], values: Mapping[str, Any], *, display_name: str | None = None
) -> CredentialItem:
    return CredentialItem(
        credential_name=name, display_name=display_name, credential_info=dict(info), credential_values=masked(values)
    )


def _not_found(name: str) -> NotFound:
    return NotFound(f"Credential not found. Got credential name: {name[:100]}", param="credential_name")
