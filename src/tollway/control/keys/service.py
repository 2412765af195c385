"""What can be done with keys, and who may do it.

Each operation is one transaction. Spend changes and the word to other workers follow its commit: nobody hears of
something that may yet be rolled back.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from tollway.control.keys.fields import amend, check_ceilings, check_fields, fill_defaults
from tollway.control.keys.rendering import KeySpend
from tollway.control.keys.repository import KeyQuery, KeyRepository, SortColumn
from tollway.control.keys.schemas import KeyCreate, KeyNames, KeyRegenerate, KeyUpdate
from tollway.control.keys.spending import ids_of, nanos_by_key, set_key_spend, spend_by_key
from tollway.control.kit.context import Context, Unit, changing
from tollway.control.kit.errors import reject_missing
from tollway.control.kit.limits import check_dollars
from tollway.control.kit.pagination import Page
from tollway.control.kit.spending import carry_spend
from tollway.core.errors import Conflict, Forbidden, InvalidRequest, NotFound
from tollway.core.ids import abbreviate_key, hash_key, new_virtual_key
from tollway.core.money import dollars_from_nanos, nanos_from_dollars
from tollway.core.windows import expires_at
from tollway.db.engine import reading
from tollway.stores.sql.principals import key_scope
from tollway.stores.sql.virtual_key import VirtualKey

_HASH_LENGTH = 64


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
    """Keys, for one request."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._services = context.services
        self._actor = context.actor
        self._now_s = context.now_s
        self.now = context.now

    async def generate(self, body: KeyCreate) -> Issued:
        """Makes a key."""
        policy = self._services.key_policy
        plaintext = self._new_value(body.key, policy.entropy_bytes)
        changes = check_ceilings(fill_defaults(body.changes(), policy), policy, now=self._now_s)
        key_hash = hash_key(plaintext)
        blank = VirtualKey(
            key_hash=key_hash,
            spend_id=key_hash,
            key_name=abbreviate_key(plaintext) if policy.shows_key_name else None,
            created_at=self.now,
            created_by=self._actor.user_id,
            updated_at=self.now,
            updated_by=self._actor.user_id,
        )
        key = amend(blank, changes, now=self._now_s)
        async with changing(self._context) as unit:
            keys = KeyRepository(unit.connection)
            await self._check_value_is_free(keys, key_hash)
            await keys.check_alias_is_free(key)
            await keys.insert(key)
            self._note(unit, "created", None, key, [key_hash])
        # A custom value may have been a key before, and spent: a new key begins where it is told to.
        if body.key is not None or body.spend:
            await set_key_spend(self._context, key, nanos_from_dollars(body.spend or 0))
        return Issued(key, plaintext, await self._spend(key))

    async def find(self, name: str) -> Spent:
        """A key by its value or hash, from the archive if need be. Raises `NotFound`."""
        key_hash = hash_of(name)
        if not self._actor.sees_everything and key_hash != self._actor.key_hash:
            raise Forbidden(f"You are not allowed to access this key's info. Your role={self._actor.role}")
        async with reading(self._services.engine) as connection:
            keys = KeyRepository(connection)
            key = await keys.find(key_hash) or await keys.find_deleted(key_hash)
        if key is None:
            raise NotFound("Key not found in database", param="key")
        return Spent(key, await self._spend(key))

    async def find_many(self, names: Iterable[str], aliases: Iterable[str]) -> list[Spent]:
        """Those of these keys that exist."""
        async with reading(self._services.engine) as connection:
            keys = KeyRepository(connection)
            found = [await keys.find(hash_of(name)) for name in names]
            found += [await keys.find_by_alias(alias) for alias in aliases]
        return await self.with_spend([key for key in found if key is not None])

    async def update(self, body: KeyUpdate) -> Spent:
        """Changes the fields that were sent."""
        changes = check_ceilings(body.changes(), self._services.key_policy, now=self._now_s)
        async with changing(self._context) as unit:
            keys = KeyRepository(unit.connection)
            before = await self._named(keys, body)
            if body.key is None:
                changes.pop("key_alias")  # it said which key, not what to call it
            key = self._touch(amend(before, changes, now=self._now_s))
            await keys.check_alias_is_free(key)
            await keys.replace(before.key_hash, key)
            self._note(unit, "updated", before, key, [key.key_hash, *await keys.find_retired(key.spend_id)])
        await self._carry_spend(before, key, changes.get("spend"))
        return Spent(key, await self._spend(key))

    async def set_blocked(self, name: str, *, is_blocked: bool) -> Spent:
        """Blocks or unblocks a key."""
        if not (name.startswith("sk-") or len(name) == _HASH_LENGTH):
            raise InvalidRequest("Invalid key format.", param="key", type="bad_request_error")
        async with changing(self._context) as unit:
            keys = KeyRepository(unit.connection)
            before = await self._existing(keys, name)
            key = self._touch(msgspec.structs.replace(before, is_blocked=is_blocked))
            await keys.replace(key.key_hash, key)
            action = "blocked" if is_blocked else "unblocked"
            self._note(unit, action, before, key, [key.key_hash, *await keys.find_retired(key.spend_id)])
        return Spent(key, await self._spend(key))

    async def delete(self, body: KeyNames) -> list[str]:
        """Deletes the keys that exist; which of the names given they answered to. Raises `NotFound` for none."""
        by_alias = not body.keys
        names = body.keys or body.key_aliases
        if not names:
            reject_missing("keys")
        async with changing(self._context) as unit:
            keys = KeyRepository(unit.connection)
            found: dict[str, VirtualKey] = {}
            for name in names:
                key = await (keys.find_by_alias(name) if by_alias else keys.find(hash_of(name)))
                if key is not None:
                    found[name] = key
            unique = {key.key_hash: key for key in found.values()}.values()
            await keys.archive(
                unique,
                at=self.now,
                by=self._context.changed_by or self._actor.user_id,
                by_key=self._actor.key_hash,
                changed_by=self._context.changed_by,
            )
            for key in unique:
                self._note(unit, "deleted", key, None, [key.key_hash, *await keys.find_retired(key.spend_id)])
        if not found:
            raise NotFound("No keys found", param="keys")
        return [name for name in names if name in found]

    async def regenerate(self, name: str, body: KeyRegenerate) -> Issued:
        """Gives a key a new value; its fields, limits and spend go on. The old value dies, at once or after a grace."""
        if body.new_master_key is not None:
            raise InvalidRequest(
                "The master key cannot be changed here: set LITELLM_MASTER_KEY (or general_settings.master_key) and "
                "restart.",
                param="new_master_key",
                type="bad_request_error",
            )
        policy = self._services.key_policy
        grace = body.grace_period or policy.grace_period
        changes = body.changes() | {"grace_period": grace}
        check_fields(changes, now=self._now_s)
        changes = check_ceilings(changes, policy, now=self._now_s)
        plaintext = self._new_value(body.new_key, policy.entropy_bytes)
        works_until = datetime.fromtimestamp(expires_at(grace, self._now_s), UTC) if grace else self.now
        async with changing(self._context) as unit:
            keys = KeyRepository(unit.connection)
            before = await keys.find(hash_of(name))
            if before is None:
                raise NotFound(f"Key {_shown(name)} not found.", param="key")
            await self._check_value_is_free(keys, hash_key(plaintext))
            renewed = msgspec.structs.replace(
                amend(before, changes, now=self._now_s),
                key_hash=hash_key(plaintext),
                key_name=abbreviate_key(plaintext) if policy.shows_key_name else None,
                rotation_count=before.rotation_count + 1,
                last_rotated_at=self.now,
            )
            key = self._touch(renewed)
            await keys.check_alias_is_free(key)
            await keys.retire_hash(before, at=self.now, works_until=works_until)
            await keys.replace(before.key_hash, key)
            self._note(unit, "rotated", before, key, [key.key_hash, *await keys.find_retired(key.spend_id)])
        await self._carry_spend(before, key, changes.get("spend"))
        return Issued(key, plaintext, await self._spend(key))

    async def reset_spend(self, name: str, reset_to: float) -> tuple[Spent, float]:
        """Lowers the spend of the current window; the key and what it had spent before."""
        check_dollars("reset_to", reset_to)
        async with reading(self._services.engine) as connection:
            key = await self._existing(KeyRepository(connection), name)
        before = (await self._spend(key)).nanos
        wanted = nanos_from_dollars(reset_to)
        if wanted > before:
            raise InvalidRequest(
                f"reset_to must not be above the current spend of {dollars_from_nanos(before)}. Received: {reset_to}",
                param="reset_to",
                type="bad_request_error",
            )
        if key.max_budget_nanos is not None and wanted > key.max_budget_nanos:
            raise InvalidRequest(
                f"reset_to must not be above max_budget {dollars_from_nanos(key.max_budget_nanos)}. "
                f"Received: {reset_to}",
                param="reset_to",
                type="bad_request_error",
            )
        await set_key_spend(self._context, key, wanted)
        return Spent(key, await self._spend(key)), dollars_from_nanos(before)

    async def list_page(
        self, query: KeyQuery, page: Page, *, sort_by: SortColumn | None, is_descending: bool
    ) -> tuple[list[VirtualKey], int]:
        """A page of the keys the caller may see, and how many there are. `sort_by` None: by spend."""
        if not self._actor.sees_everything:
            owner = (self._actor.key_hash, self._actor.user_id)
            query = msgspec.structs.replace(query, owner=owner)
        async with reading(self._services.engine) as connection:
            keys = KeyRepository(connection)
            total = await keys.count(query)
            if sort_by is not None:
                return await keys.list_page(query, page, sort_by=sort_by, is_descending=is_descending), total
            found = await keys.list_all(query)
        spent = await nanos_by_key(self._services, found)
        found.sort(key=lambda key: spent[key.key_hash], reverse=is_descending)
        return found[page.offset : page.offset + page.size], total

    async def with_spend(self, keys: Sequence[VirtualKey]) -> list[Spent]:
        """The keys, and what each has spent."""
        spend = await spend_by_key(self._services, keys)
        return [Spent(key, spend[key.key_hash]) for key in keys]

    async def list_aliases(self, page: Page, *, search: str | None, team_id: str | None) -> tuple[list[str], int]:
        """A page of the aliases in use, and how many there are."""
        async with reading(self._services.engine) as connection:
            return await KeyRepository(connection).list_aliases(page, search=search, team_id=team_id)

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

    async def _existing(self, keys: KeyRepository, name: str) -> VirtualKey:
        key = await keys.find(hash_of(name))
        if key is None:
            raise NotFound("Key not found.", param="key")
        return key

    async def _named(self, keys: KeyRepository, body: KeyUpdate) -> VirtualKey:
        if body.key is not None:
            return await self._existing(keys, body.key)
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
        self,
        unit: Unit,
        action: str,
        before: VirtualKey | None,
        after: VirtualKey | None,
        hashes: Iterable[str],
    ) -> None:
        """For the audit log, and for every worker that may know the key under one of these hashes."""
        named = after or before
        assert named is not None
        unit.audit(action, "LiteLLM_VerificationToken", named.key_hash, before=before, after=after)
        for key_hash in hashes:
            unit.tell("key", key_hash)

    async def _carry_spend(self, before: VirtualKey, after: VirtualKey, forced: float | None) -> None:
        """Sets the spend that was asked for, or takes it along into the window of a new budget_duration."""
        if forced is not None:
            await set_key_spend(self._context, after, nanos_from_dollars(forced))
        else:
            await carry_spend(self._context, key_scope(before), key_scope(after), **ids_of(after))

    async def _spend(self, key: VirtualKey) -> KeySpend:
        return (await spend_by_key(self._services, [key]))[key.key_hash]


def hash_of(name: str) -> str:
    """The hash of a key that a request names by value or by hash."""
    return hash_key(name) if name.startswith("sk-") else name


def _shown(name: str) -> str:
    return abbreviate_key(name) if name.startswith("sk-") else name[:_HASH_LENGTH]
