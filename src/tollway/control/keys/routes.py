"""`/key/*`: parse, ask the service, shape the answer."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Depends, Query, Response

from tollway.control.keys.directory import KeyDirectory
from tollway.control.keys.rendering import (
    render_blocked,
    render_generated,
    render_info,
    render_listed,
    render_token,
    render_updated,
)
from tollway.control.keys.repository import KeyQuery, SortColumn
from tollway.control.keys.rotation import find_successor
from tollway.control.keys.schemas import (
    KeyAliases,
    KeyBlocked,
    KeyBulkFailure,
    KeyBulkSuccess,
    KeyBulkUpdate,
    KeyBulkUpdated,
    KeyCreate,
    KeyGenerated,
    KeyHealth,
    KeyInfoAnswer,
    KeyList,
    KeyListed,
    KeyName,
    KeyNames,
    KeyQuestion,
    KeyRegenerate,
    KeysDeleted,
    KeysInfo,
    KeySuccessor,
    KeyToken,
    KeyUpdate,
    KeyUpdated,
    ServiceAccountCreate,
    SpendReset,
    SpendWasReset,
)
from tollway.control.keys.service import KeyService
from tollway.control.kit.body import warn
from tollway.control.kit.context import ActorDep, ContextDep
from tollway.control.kit.errors import reject_missing
from tollway.control.kit.guard import resource_router
from tollway.control.kit.keys import hash_of
from tollway.control.kit.pagination import Page
from tollway.control.kit.query import one_of
from tollway.core.errors import ClientError
from tollway.core.money import dollars_from_nanos

router = resource_router("keys")

_SORTS: tuple[SortColumn | Literal["spend"], ...] = (
    *("spend", "max_budget", "created_at", "updated_at", "token", "key_alias"),
)


async def _key_service(context: ContextDep) -> KeyService:
    return KeyService(context)


async def _key_directory(context: ContextDep) -> KeyDirectory:
    return KeyDirectory(context)


Keys = Annotated[KeyService, Depends(_key_service)]
Directory = Annotated[KeyDirectory, Depends(_key_directory)]


@router.post("/key/generate")
async def generate_key(body: KeyCreate, response: Response, keys: Keys) -> KeyGenerated:
    """Make a virtual key. The answer is the only place where its value is ever shown."""
    issued = await keys.generate(body)
    warn(response, body)
    return render_generated(issued.key, issued.plaintext, issued.spend, token=issued.key.key_hash)


@router.post("/key/service-account/generate")
async def generate_service_account_key(body: ServiceAccountCreate, response: Response, keys: Keys) -> KeyGenerated:
    """Make a key of a team that belongs to no user, and so outlives everybody's leaving. `team_id` is needed."""
    issued = await keys.generate(body, is_service_account=True)
    warn(response, body)
    return render_generated(issued.key, issued.plaintext, issued.spend, token=issued.key.key_hash)


@router.get("/key/info")
async def show_key(keys: Directory, actor: ActorDep, key: str | None = None) -> KeyInfoAnswer:
    """A key, by its value or its hash; without one, the key that asks."""
    name = key or actor.key_hash
    found = await keys.find(name)
    return KeyInfoAnswer(key=name, info=render_info(found.key, found.spend, keys.now))


@router.get("/key/successor")
async def fetch_successor(context: ContextDep) -> KeySuccessor:
    """The new value of the key that asks, after it was rotated by itself (`auto_rotate`) and while it still works."""
    found = await find_successor(context)
    return KeySuccessor(key=str(found.value), old_key_works_until=found.works_until)


@router.post("/v2/key/info")
async def show_keys(body: KeyQuestion, response: Response, keys: Directory) -> KeysInfo:
    """Several keys at once. Those that do not exist are left out."""
    found = await keys.find_many(body.keys, body.key_aliases)
    warn(response, body)
    return KeysInfo(key=body.keys, info=[render_token(*entry) for entry in found])


@router.post("/key/update")
async def update_key(body: KeyUpdate, response: Response, keys: Keys) -> KeyUpdated:
    """Change the fields that are sent; null clears one. A key can be named by its alias too."""
    changed = await keys.update(body)
    warn(response, body)
    return render_updated(changed.key, changed.spend, body.key or changed.key.key_hash)


@router.post("/key/bulk_update")
async def update_keys(body: KeyBulkUpdate, response: Response, keys: Keys) -> KeyBulkUpdated:
    """Change many keys at once. One that cannot be changed is named with the reason; the others are."""
    done: list[KeyBulkSuccess] = []
    failed: list[KeyBulkFailure] = []
    for item in body.keys:
        try:
            changed = await keys.update_in_bulk(item.key, item.settings(), route="/key/bulk_update")
        except ClientError as error:
            failed.append(KeyBulkFailure(key=item.key, failed_reason=error.message))
        else:
            done.append(KeyBulkSuccess(key=item.key, key_info=render_token(*changed)))
    warn(response, body)
    return KeyBulkUpdated(total_requested=len(body.keys), successful_updates=done, failed_updates=failed)


@router.post("/key/delete")
async def delete_keys(body: KeyNames, response: Response, keys: Keys) -> KeysDeleted:
    """Delete keys by value, hash or alias. They stop working at once and stay in the archive."""
    deleted = await keys.delete(body)
    missing = len(body.keys or body.key_aliases or ()) - len(deleted)
    warn(response, body, *([f"{missing} of the keys were not found"] if missing else []))
    return KeysDeleted(deleted_keys=deleted)


@router.post("/key/block")
async def block_key(body: KeyName, response: Response, keys: Keys) -> KeyBlocked:
    """Stop a key from working until it is unblocked."""
    changed = await keys.set_blocked(body.key, is_blocked=True)
    warn(response, body)
    return render_blocked(changed.key, changed.spend)


@router.post("/key/unblock")
async def unblock_key(body: KeyName, response: Response, keys: Keys) -> KeyToken:
    """Let a blocked key work again."""
    changed = await keys.set_blocked(body.key, is_blocked=False)
    warn(response, body)
    return render_token(changed.key, changed.spend)


@router.post("/key/regenerate")
async def regenerate_named_key(response: Response, keys: Keys, body: KeyRegenerate | None = None) -> KeyGenerated:
    """Give a key a new value, and change its fields on the way. `grace_period`: how long the old value still works."""
    if body is None or body.key is None:
        reject_missing("key")
    return await _regenerate(body.key, body, response, keys)


@router.post("/key/{key}/regenerate")
async def regenerate_key(key: str, response: Response, keys: Keys, body: KeyRegenerate | None = None) -> KeyGenerated:
    """Give the key with this hash a new value, and change its fields on the way."""
    return await _regenerate(key, body or KeyRegenerate(), response, keys)


async def _regenerate(name: str, body: KeyRegenerate, response: Response, keys: KeyService) -> KeyGenerated:
    issued = await keys.regenerate(name, body)
    warn(response, body)
    return render_generated(issued.key, issued.plaintext, issued.spend, token=None)


@router.post("/key/{key}/reset_spend")
async def reset_spend(key: str, body: SpendReset, response: Response, keys: Keys) -> SpendWasReset:
    """Lower what a key has spent in its current budget window. The ledger keeps a record of it."""
    (changed, spend), before = await keys.reset_spend(key, body.reset_to)
    warn(response, body)
    budget = changed.max_budget_nanos
    return SpendWasReset(
        key_hash=changed.key_hash,
        spend=dollars_from_nanos(spend.nanos),
        previous_spend=before,
        max_budget=None if budget is None else dollars_from_nanos(budget),
        budget_reset_at=spend.resets_at,
    )


@router.post("/key/health")
async def check_key() -> KeyHealth:
    """Whether the key that asks works. Callbacks of keys come with callbacks."""
    return KeyHealth()


@router.get("/key/list")
async def list_keys(
    keys: Directory,
    *,
    page: Annotated[int, Query(ge=1)] = 1,
    size: Annotated[int, Query(ge=1, le=100)] = 10,
    user_id: str | None = None,
    team_id: str | None = None,
    organization_id: str | None = None,
    project_id: str | None = None,
    agent_id: str | None = None,
    access_group_id: str | None = None,
    key_hash: str | None = None,
    key_alias: str | None = None,
    search: str | None = None,
    substring_matching: bool = False,
    return_full_object: bool = False,
    include_team_keys: bool = False,
    include_created_by_keys: bool = False,
    sort_by: str | None = None,
    sort_order: str = "desc",
    expand: Annotated[list[str] | None, Query()] = None,
    status: str | None = None,
    expires: str | None = None,
) -> KeyList:
    """Keys, newest first: their hashes, or everything about them with `return_full_object`.

    Callers who do not see everything get their own, and those they manage if they name a user, a team, an
    organization or a key, or send `include_team_keys`.
    """
    query = KeyQuery(
        now=keys.now,
        key_hash=hash_of(key_hash) if key_hash else None,
        key_alias=key_alias,
        user_id=user_id,
        team_id=team_id,
        organization_id=organization_id,
        project_id=project_id,
        agent_id=agent_id,
        access_group_id=access_group_id,
        search=search,
        matches_substrings=substring_matching,
        status=one_of("status", status, ("active", "expired", "revoked", "deleted")),
        expiry=one_of("expires", expires, ("active", "expired")),
    )
    named = (user_id, team_id, organization_id, key_hash, key_alias)
    sort = one_of("sort_by", sort_by, _SORTS) or "created_at"
    order = one_of("sort_order", sort_order.lower(), ("asc", "desc"))
    wanted = Page(page, size)
    found, total = await keys.list_page(
        query,
        wanted,
        sort_by=None if sort == "spend" else sort,
        is_descending=order == "desc",
        reach="visible" if include_team_keys or any(named) else "own",
        includes_created=include_created_by_keys,
    )
    shows_users = "user" in (expand or ())
    shown: list[str] | list[KeyListed] = [key.key_hash for key in found]
    if return_full_object or shows_users:
        shown = [render_listed(*entry, shows_users=shows_users) for entry in await keys.with_spend(found)]
    return KeyList(keys=shown, total_count=total, current_page=page, total_pages=wanted.pages(total))


@router.get("/key/aliases")
async def list_aliases(
    keys: Directory,
    page: Annotated[int, Query(ge=1)] = 1,
    size: Annotated[int, Query(ge=1, le=100)] = 50,
    search: str | None = None,
    team_id: str | None = None,
) -> KeyAliases:
    """Aliases in use."""
    wanted = Page(page, size)
    aliases, total = await keys.list_aliases(wanted, search=search, team_id=team_id)
    return KeyAliases(aliases=aliases, total_count=total, current_page=page, total_pages=wanted.pages(total), size=size)


@router.get("/spend/keys", tags=["spend"])
async def list_keys_by_spend(keys: Directory, limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> list[KeyToken]:
    """Keys, the dearest first."""
    found, _ = await keys.list_page(KeyQuery(now=keys.now), Page(1, limit), sort_by=None, is_descending=True)
    return [render_token(*entry) for entry in await keys.with_spend(found)]
