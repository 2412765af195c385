"""What can be done with keys, and who may do it.

Each operation is one transaction. Spend changes and the word to other workers follow its commit: nobody hears of
something that may yet be rolled back.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from tollway.control.keys.authority import Authority
from tollway.control.keys.fields import amend, check_ceilings, check_fields, fill_defaults
from tollway.control.keys.rendering import KeySpend
from tollway.control.keys.repository import KeyRepository
from tollway.control.keys.schemas import KeyCreate, KeyNames, KeyRegenerate, KeyUpdate
from tollway.control.keys.spending import current_scope, ids_of, set_key_spend, spend_by_key
from tollway.control.kit.access_groups import set_groups
from tollway.control.kit.context import Context, Unit, changing
from tollway.control.kit.errors import reject_missing
from tollway.control.kit.keys import hash_of
from tollway.control.kit.logging_entries import sealed_metadata
from tollway.control.kit.spending import carry_spend, lower_spend
from tollway.core.errors import Conflict, Forbidden, InvalidRequest, NotFound
from tollway.core.ids import abbreviate_key, hash_key, new_virtual_key
from tollway.core.money import dollars_from_nanos, nanos_from_dollars
from tollway.core.principal import Role
from tollway.core.windows import expires_at
from tollway.db.engine import reading
from tollway.stores.sql.virtual_key import VirtualKey

HASH_LENGTH = 64
RESOURCE = "LiteLLM_VerificationToken"
"""Name of keys in the audit log."""


class Spent(NamedTuple):
    """A key and what it has spent."""

    key: VirtualKey
    spend: KeySpend


class Issued(NamedTuple):
    """A key whose plaintext exists for the length of this answer."""

    key: VirtualKey
    plaintext: str
    spend: KeySpend


class KeyService:
    """Changing keys, for one request."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._services = context.services
        self._actor = context.actor
        self._now_s = context.now_s
        self.now = context.now

    async def generate(self, body: KeyCreate, *, is_service_account: bool = False) -> Issued:
        """Makes a key: for the caller, or for whom they may make one. A service account is a team's and no user's."""
        async with changing(self._context) as unit:
            issued = await self.make(unit, body.key, body.changes(), is_service_account=is_service_account)
        # A custom value may have been a key before, and spent: a new key begins where it is told to.
        if body.key is not None or body.spend:
            await set_key_spend(self._context, issued.key, nanos_from_dollars(body.spend or 0))
        return Issued(issued.key, issued.plaintext, await self._spend(issued.key))

    async def make(
        self, unit: Unit, wanted: str | None, sent: Mapping[str, Any], *, is_service_account: bool = False
    ) -> Issued:
        """Makes a key inside a transaction that is under way. `wanted`: a value of the caller's own."""
        policy = self._services.key_policy
        route = "/key/service-account/generate" if is_service_account else "/key/generate"
        plaintext = self._new_value(wanted, policy.entropy_bytes)
        changes = check_ceilings(fill_defaults(sent, policy), policy, now=self._now_s)
        if is_service_account:
            changes = _as_service_account(changes)
        blank = self._blank(plaintext)
        key = await self._sealed(blank, amend(blank, self._with_owner(changes), now=self._now_s))
        keys, authority = KeyRepository(unit.connection), Authority(self._context, unit.connection)
        key = await self._with_organization(keys, key)
        capacity = await authority.over_new(key, route)
        authority.check_fields(capacity, sent)
        self._check_owner(capacity, key, is_service_account=is_service_account)
        await authority.check_budget(capacity, changes)
        authority.check_models(capacity, key.models)
        await self._check_value_is_free(keys, key.key_hash)
        await keys.check_alias_is_free(key)
        await keys.insert(key)
        await _assign_groups(unit, key, changes)
        self._note(unit, "created", None, key, [key.key_hash])
        return Issued(key, plaintext, KeySpend())

    async def update(self, body: KeyUpdate) -> Spent:
        """Changes the fields that were sent."""
        sent = body.changes()
        if body.key is None:
            sent.pop("key_alias", None)  # it says which key, not what to call it
        async with changing(self._context) as unit:
            before = await self._named(KeyRepository(unit.connection), body)
            key = await self._change(unit, before, sent, route="/key/update")
        await self._carry_spend(before, key, sent.get("spend"))
        return Spent(key, await self._spend(key))

    async def update_in_bulk(self, name: str, sent: Mapping[str, Any], *, route: str) -> Spent:
        """Changes one of many keys, in a transaction of its own: one that fails does not hold up the others."""
        async with changing(self._context) as unit:
            before = await self.existing(KeyRepository(unit.connection), name)
            key = await self._change(unit, before, sent, route=route)
        await self._carry_spend(before, key, sent.get("spend"))
        return Spent(key, await self._spend(key))

    async def set_blocked(self, name: str, *, is_blocked: bool) -> Spent:
        """Blocks or unblocks a key."""
        if not (name.startswith("sk-") or len(name) == HASH_LENGTH):
            raise InvalidRequest("Invalid key format.", param="key", type="bad_request_error")
        action = "block" if is_blocked else "unblock"
        async with changing(self._context) as unit:
            keys = KeyRepository(unit.connection)
            before = await self.existing(keys, name)
            await Authority(self._context, unit.connection).over(before, f"/key/{action}")
            key = self._touch(msgspec.structs.replace(before, is_blocked=is_blocked))
            await self._replace(unit, keys, before, key, f"{action}ed")
        return Spent(key, await self._spend(key))

    async def delete(self, body: KeyNames) -> list[str]:
        """Deletes the keys that exist; which of the names given they answered to. Raises `NotFound` for none."""
        by_alias = not body.keys
        names = body.keys or body.key_aliases
        if not names:
            reject_missing("keys")
        async with changing(self._context) as unit:
            keys, authority = KeyRepository(unit.connection), Authority(self._context, unit.connection)
            found: dict[str, VirtualKey] = {}
            for name in names:
                key = await (keys.find_by_alias(name) if by_alias else keys.find(hash_of(name)))
                if key is not None:
                    await authority.over(key, "/key/delete")
                    found[name] = key
            await self.archive(unit, {key.key_hash: key for key in found.values()}.values())
        if not found:
            raise NotFound("No keys found", param="keys")
        return [name for name in names if name in found]

    async def archive(self, unit: Unit, keys: Iterable[VirtualKey]) -> None:
        """Moves keys to the archive, inside a transaction that is under way. Who may is the caller's to check."""
        repository, removed = KeyRepository(unit.connection), list(keys)
        await repository.archive(
            removed,
            at=self.now,
            by=self._context.changed_by or self._actor.user_id,
            by_key=self._actor.key_hash,
            changed_by=self._context.changed_by,
        )
        for key in removed:
            await set_groups(unit.connection, "key", key.spend_id, ())
            self._note(unit, "deleted", key, None, await repository.hashes_of(key))

    async def regenerate(self, name: str, body: KeyRegenerate) -> Issued:
        """Gives a key a new value; its fields, limits and spend go on. The old value dies, at once or after a grace."""
        if body.new_master_key is not None:
            raise InvalidRequest(
                "The master key cannot be changed here: set LITELLM_MASTER_KEY (or general_settings.master_key) and "
                "restart.",
                param="new_master_key",
                type="bad_request_error",
            )
        policy, sent = self._services.key_policy, body.changes()
        grace = body.grace_period or policy.grace_period
        check_fields(sent | {"grace_period": grace}, now=self._now_s)
        plaintext = self._new_value(body.new_key, policy.entropy_bytes)
        async with changing(self._context) as unit:
            keys = KeyRepository(unit.connection)
            before = await keys.find(hash_of(name))
            if before is None:
                raise NotFound(f"Key {_shown(name)} not found.", param="key")
            amended = await self._amended(unit, before, sent, route="/key/regenerate")
            await self._check_value_is_free(keys, hash_key(plaintext))
            key = await self.rotate(unit, before, amended, plaintext, grace=grace)
        await self._carry_spend(before, key, sent.get("spend"))
        return Issued(key, plaintext, await self._spend(key))

    async def rotate(
        self,
        unit: Unit,
        before: VirtualKey,
        after: VirtualKey,
        plaintext: str,
        *,
        grace: str | None,
        successor: str | None = None,
    ) -> VirtualKey:
        """Puts a new value in the place of the one a key has, which goes on working for `grace`.

        `successor`: the new value, sealed, for its holder to fetch. Who may is the caller's to check.
        """
        works_until = datetime.fromtimestamp(expires_at(grace, self._now_s), UTC) if grace else self.now
        keys = KeyRepository(unit.connection)
        key = self._touch(
            msgspec.structs.replace(
                after,
                key_hash=hash_key(plaintext),
                key_name=abbreviate_key(plaintext) if self._services.key_policy.shows_key_name else None,
                rotation_count=before.rotation_count + 1,
                last_rotated_at=self.now,
            )
        )
        await keys.retire_hash(before, at=self.now, works_until=works_until, successor=successor)
        await self._replace(unit, keys, before, key, "rotated")
        return key

    async def reset_spend(self, name: str, reset_to: float) -> tuple[Spent, float]:
        """Lowers the spend of the current window; the key and what it had spent before."""
        async with reading(self._services.engine) as connection:
            key = await self.existing(KeyRepository(connection), name)
            authority = Authority(self._context, connection)
            authority.check_fields(await authority.over(key, "/key/{key_id}/reset_spend"), {"reset_to": reset_to})
        scope = await current_scope(self._services, key)
        before = await lower_spend(self._context, scope, reset_to, audited=(RESOURCE, key.key_hash), **ids_of(key))
        return Spent(key, await self._spend(key)), dollars_from_nanos(before)

    async def existing(self, keys: KeyRepository, name: str) -> VirtualKey:
        """The living key that a request names. Raises `NotFound`."""
        key = await keys.find(hash_of(name))
        if key is None:
            raise NotFound("Key not found.", param="key")
        return key

    async def _change(self, unit: Unit, before: VirtualKey, sent: Mapping[str, Any], *, route: str) -> VirtualKey:
        keys = KeyRepository(unit.connection)
        key = self._touch(await self._amended(unit, before, sent, route=route))
        await self._replace(unit, keys, before, key, "updated")
        return key

    async def _amended(self, unit: Unit, before: VirtualKey, sent: Mapping[str, Any], *, route: str) -> VirtualKey:
        """The key with what was sent, as far as the caller may: of this key, and of the one it becomes."""
        authority = Authority(self._context, unit.connection)
        capacity = await authority.over(before, route)
        authority.check_fields(capacity, sent)
        changes = check_ceilings(sent, self._services.key_policy, now=self._now_s)
        key = await self._sealed(before, amend(before, changes, now=self._now_s))
        if (key.user_id, key.team_id, key.organization_id) != (before.user_id, before.team_id, before.organization_id):
            key = await self._with_organization(KeyRepository(unit.connection), key)
            self._check_owner(await authority.over_new(key, route), key)
        await authority.check_budget(capacity, sent)
        authority.check_loosening(capacity, before, key)
        await KeyRepository(unit.connection).check_alias_is_free(key)
        await _assign_groups(unit, key, sent)
        return key

    async def _replace(
        self, unit: Unit, keys: KeyRepository, before: VirtualKey, after: VirtualKey, action: str
    ) -> None:
        await keys.replace(before.key_hash, after)
        self._note(unit, action, before, after, await keys.hashes_of(after))

    async def _sealed(self, before: VirtualKey, key: VirtualKey) -> VirtualKey:
        metadata = await sealed_metadata(self._services, key.metadata, before.metadata, "keys", key.spend_id)
        return msgspec.structs.replace(key, metadata=metadata)

    def _blank(self, plaintext: str) -> VirtualKey:
        key_hash, by = hash_key(plaintext), self._actor.user_id
        return VirtualKey(
            key_hash=key_hash,
            spend_id=key_hash,
            key_name=abbreviate_key(plaintext) if self._services.key_policy.shows_key_name else None,
            created_at=self.now,
            created_by=by,
            updated_at=self.now,
            updated_by=by,
        )

    def _with_owner(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """A key that nobody is named for is the caller's own, unless they make keys for others."""
        is_managing = bool(self._actor.roles & {Role.PROXY_ADMIN, Role.ORG_ADMIN, Role.TEAM_ADMIN})
        if changes.get("user_id") or (is_managing and (self._actor.is_admin or changes.get("team_id"))):
            return dict(changes)
        if changes.get("team_id") and "service_account_id" in (changes.get("metadata") or {}):
            return dict(changes)
        return {**changes, "user_id": self._actor.user_id}

    def _check_owner(self, capacity: Role, key: VirtualKey, *, is_service_account: bool = False) -> None:
        is_plain = capacity in (Role.INTERNAL_USER, Role.TEAM)
        if is_plain and not is_service_account and key.user_id != self._actor.user_id:
            raise Forbidden(
                f"You can make and keep keys for yourself only. Your user_id={self._actor.user_id}", param="user_id"
            )

    async def _with_organization(self, keys: KeyRepository, key: VirtualKey) -> VirtualKey:
        """A key of a team belongs to the team's organization."""
        if key.organization_id is not None or key.team_id is None:
            return key
        return msgspec.structs.replace(key, organization_id=await keys.organization_of_team(key.team_id))

    def _new_value(self, wanted: str | None, entropy_bytes: int) -> str:
        policy = self._services.key_policy
        if wanted is None:
            return new_virtual_key(entropy_bytes)
        if not policy.allows_custom_keys:
            raise Forbidden(
                "Custom key values are switched off (disable_custom_api_keys). Leave the field out to get a random one."
            )
        if not wanted.startswith("sk-"):
            raise InvalidRequest(
                "Invalid key format. LiteLLM Virtual Key must start with 'sk-'. Received: ****",
                type="bad_request_error",
            )
        if len(wanted) < policy.min_custom_length:
            raise InvalidRequest(
                f"Invalid key format. A custom key needs at least {policy.min_custom_length} characters.",
                type="bad_request_error",
            )
        return wanted

    async def _named(self, keys: KeyRepository, body: KeyUpdate) -> VirtualKey:
        if body.key is not None:
            return await self.existing(keys, body.key)
        if body.key_alias is None:
            reject_missing("key")
        key = await keys.find_by_alias(body.key_alias)
        if key is None:
            raise NotFound("Key not found.", param="key_alias")
        return key

    async def _check_value_is_free(self, keys: KeyRepository, key_hash: str) -> None:
        if await keys.is_taken(key_hash):
            raise Conflict("This key value is in use, or was used before. Choose another one.", param="key")

    def _touch(self, key: VirtualKey) -> VirtualKey:
        by = self._actor.user_id
        return msgspec.structs.replace(key, updated_at=self.now, updated_by=by, settings_updated_at=self.now)

    def _note(
        self, unit: Unit, action: str, before: VirtualKey | None, after: VirtualKey | None, hashes: Iterable[str]
    ) -> None:
        """For the audit log, and for every worker that may know the key under one of these hashes."""
        named = after or before
        assert named is not None
        unit.audit(action, RESOURCE, named.key_hash, before=before, after=after)
        for key_hash in hashes:
            unit.tell("key", key_hash)

    async def _carry_spend(self, before: VirtualKey, after: VirtualKey, forced: float | None) -> None:
        """Sets the spend that was asked for, or takes it along into the window of a new budget_duration."""
        if forced is not None:
            await set_key_spend(self._context, after, nanos_from_dollars(forced))
            return
        earlier, now = await current_scope(self._services, before), await current_scope(self._services, after)
        await carry_spend(self._context, earlier, now, **ids_of(after))

    async def _spend(self, key: VirtualKey) -> KeySpend:
        return (await spend_by_key(self._context, [key]))[key.key_hash]


async def _assign_groups(unit: Unit, key: VirtualKey, sent: Mapping[str, Any]) -> None:
    """Raises `NotFound` for an access group that does not exist."""
    if "access_group_ids" in sent:
        await set_groups(unit.connection, "key", key.spend_id, sent["access_group_ids"] or ())


def _as_service_account(changes: Mapping[str, Any]) -> dict[str, Any]:
    """A key of a team that is nobody's: it stays when people leave."""
    if not changes.get("team_id"):
        raise InvalidRequest(
            "team_id is required for service account keys. Send the team that the account belongs to.",
            param="team_id",
            type="bad_request_error",
        )
    metadata = dict(changes.get("metadata") or {})
    metadata.setdefault("service_account_id", changes.get("key_alias") or str(uuid.uuid4()))
    return {**changes, "user_id": None, "metadata": metadata}


def _shown(name: str) -> str:
    return abbreviate_key(name) if name.startswith("sk-") else name[:HASH_LENGTH]
