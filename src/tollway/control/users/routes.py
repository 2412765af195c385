"""`/user/*`: parse, ask the service, shape the answer."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Depends, Query, Request, Response

from tollway.control.kit.body import WARNING_HEADER, warn
from tollway.control.kit.context import ActorDep, ContextDep
from tollway.control.kit.errors import reject_missing
from tollway.control.kit.guard import resource_router
from tollway.control.kit.keys import KeyDeskDep
from tollway.control.kit.pagination import Page
from tollway.control.kit.query import one_of, with_plus
from tollway.control.kit.teams import TeamDeskDep
from tollway.control.users.belongings import belongings_of
from tollway.control.users.rendering import (
    Seen,
    render_created,
    render_details,
    render_listed,
    render_profile,
    render_row,
)
from tollway.control.users.repository import SortColumn, UserQuery
from tollway.control.users.schemas import (
    PasswordChange,
    PasswordChanged,
    RoleOut,
    UserCreate,
    UserCreated,
    UserFound,
    UserInfo,
    UserList,
    UserNames,
    UserOutcome,
    UserProfile,
    UsersUpdate,
    UsersUpdated,
    UserUpdate,
    UserUpdated,
)
from tollway.control.users.service import UserService
from tollway.core.errors import InvalidRequest, NotFound
from tollway.core.principal import Role
from tollway.stores.sql.rows import User

router = resource_router("users")

_SORTS: tuple[SortColumn | Literal["spend"], ...] = (
    *("user_id", "user_email", "created_at", "spend", "user_alias", "user_role"),
)
_MAX_AT_ONCE = 500
_ALL_PAGE = 100
"""Keys and teams shown to an admin who asks for nobody in particular."""

_ROLES = {
    Role.PROXY_ADMIN: RoleOut(description="Sees and changes everything.", ui_label="Admin (All Permissions)"),
    Role.PROXY_ADMIN_VIEWER: RoleOut(description="Sees everything, changes nothing.", ui_label="Admin (View Only)"),
    Role.INTERNAL_USER: RoleOut(
        description="Makes, sees and deletes their own keys, and sees their own spend.",
        ui_label="Internal User (Create/Delete/View)",
    ),
    Role.INTERNAL_USER_VIEWER: RoleOut(
        description="Sees their own keys and spend, changes nothing.", ui_label="Internal User (View Only)"
    ),
}


async def _user_service(context: ContextDep, desk: KeyDeskDep) -> UserService:
    return UserService(context, desk)


async def _asked_id(request: Request, user_id: Annotated[str | None, Query(max_length=255)] = None) -> str | None:
    return with_plus(request, "user_id", user_id)


async def _asked_email(request: Request, user_email: Annotated[str | None, Query(max_length=255)] = None) -> str | None:
    return with_plus(request, "user_email", user_email)


Users = Annotated[UserService, Depends(_user_service)]
AskedId = Annotated[str | None, Depends(_asked_id)]
AskedEmail = Annotated[str | None, Depends(_asked_email)]


@router.post("/user/new")
async def create_user(body: UserCreate, response: Response, users: Users) -> UserCreated:
    """Make a user, and a key of theirs. The answer is the only place where the key is ever shown."""
    seen, key = await users.create(body)
    idle = ["'send_invite_email' has no effect in this release"] if body.send_invite_email else []
    warn(response, body, *idle)
    return render_created(seen, key)


@router.get("/user/info")
async def show_user(
    users: Users,
    context: ContextDep,
    keys: KeyDeskDep,
    teams: TeamDeskDep,
    user_id: AskedId,
    response: Response,
    *,
    page: Annotated[int, Query(ge=1)] = 1,
    size: Annotated[int, Query(ge=1, le=_MAX_AT_ONCE)] = _MAX_AT_ONCE,
) -> UserInfo:
    """A user with their keys and teams; without an id, the caller. An admin who names nobody sees all keys and teams, a
    page at a time.
    """
    is_about_all = user_id is None and context.actor.sees_everything
    seen = await _caller_or(users, context, user_id)
    wanted = Page(page, min(size, _ALL_PAGE) if is_about_all else size)
    owner = None if is_about_all else seen.user.user_id
    found = await belongings_of(context, keys, teams, owner, wanted)
    if max(found.key_count, found.team_count) > wanted.offset + wanted.size:
        response.headers[WARNING_HEADER] = (
            f"page {page} of {found.key_count} keys and {found.team_count} teams; ask for page={page + 1}"
        )
    return UserInfo(
        user_id=seen.user.user_id,
        user_info=render_details(context, seen),
        keys=found.keys,
        teams=found.teams,
    )


@router.get("/v2/user/info")
async def show_profile(users: Users, context: ContextDep, user_id: AskedId) -> UserProfile:
    """A user alone, without keys. Users whom the caller may not see are not found."""
    if user_id is None:
        return render_profile(context, await _caller_or(users, context, None))
    return render_profile(context, await users.find_teammate(user_id))


@router.post("/user/update")
async def update_user(body: UserUpdate, response: Response, users: Users, context: ContextDep) -> UserUpdated:
    """Change the fields that are sent; null clears one. `spend` sets what was spent in the current budget window."""
    seen = await users.update(body)
    warn(response, body)
    return UserUpdated(user_id=seen.user.user_id, data=render_row(context, seen))


@router.post("/user/bulk_update")
async def update_users(body: UsersUpdate, response: Response, users: Users, context: ContextDep) -> UsersUpdated:
    """Change many users at once, each on its own: those that are refused say why."""
    outcomes = await users.update_many(await _asked_of_all(users, body))
    warn(response, body)
    results = [
        UserOutcome(
            user_id=seen.user.user_id if seen else asked.user_id,
            user_email=seen.user.user_email if seen else asked.user_email,
            success=seen is not None,
            error=error,
            updated_user=render_row(context, seen) if seen else None,
        )
        for asked, seen, error in outcomes
    ]
    good = sum(one.success for one in results)
    return UsersUpdated(
        results=results, total_requested=len(results), successful_updates=good, failed_updates=len(results) - good
    )


@router.post("/user/delete")
async def delete_users(body: UserNames, response: Response, users: Users) -> int:
    """Delete users with their keys, invitations and memberships. Their spend stays in the ledger."""
    deleted = await users.delete(body.user_ids)
    warn(response, body)
    return deleted


@router.get("/user/list")
async def list_users(
    users: Users,
    context: ContextDep,
    user_email: AskedEmail,
    *,
    role: str | None = None,
    user_ids: str | None = None,
    sso_user_ids: str | None = None,
    search: str | None = None,
    team: str | None = None,
    organization_ids: str | None = None,
    page: Annotated[int, Query(ge=1)] = 1,
    page_size: Annotated[int, Query(ge=1, le=100)] = 25,
    sort_by: str | None = None,
    sort_order: str | None = None,
) -> UserList:
    """Users, newest first, or in the order asked for. Lists are separated by commas; texts match parts."""
    query = UserQuery(
        role=role,
        user_ids=_listed(user_ids),
        sso_user_ids=_listed(sso_user_ids),
        email_part=user_email,
        search=search,
        team=team,
        organization_ids=_listed(organization_ids),
    )
    sort = one_of("sort_by", sort_by, _SORTS)
    order = one_of("sort_order", sort_order.lower() if sort_order else None, ("asc", "desc"))
    wanted = Page(page, page_size)
    found, total = await users.list_page(
        users.scope(query),
        wanted,
        sort_by=None if sort == "spend" else sort or "created_at",
        is_descending=(order or ("asc" if sort else "desc")) == "desc",
    )
    return UserList(
        users=[render_listed(context, seen, key_count=key_count) for seen, key_count in found],
        total=total,
        page=page,
        page_size=page_size,
        total_pages=wanted.pages(total),
    )


@router.get("/user/available_roles")
async def list_roles() -> dict[str, RoleOut]:
    """The roles a user can have."""
    return {role.value: words for role, words in _ROLES.items()}


@router.get("/user/filter/ui")
async def find_users(
    users: Users,
    user_id: AskedId,
    user_email: AskedEmail,
    page: Annotated[int, Query(ge=1)] = 1,
    page_size: Annotated[int, Query(ge=1, le=100)] = 50,
) -> list[UserFound]:
    """Ids and addresses that contain these texts."""
    query = users.scope(UserQuery(user_id_part=user_id, email_part=user_email))
    found, _ = await users.list_page(query, Page(page, page_size), sort_by="user_id", is_descending=False)
    return [UserFound(user_id=seen.user.user_id, user_email=seen.user.user_email) for seen, _ in found]


@router.post("/user/password/change")
async def change_password(body: PasswordChange, response: Response, users: Users) -> PasswordChanged:
    """Choose another password."""
    user_id = await users.change_password(body)
    warn(response, body)
    return PasswordChanged(user_id=user_id, message="Password changed.")


async def _caller_or(users: UserService, context: ContextDep, user_id: str | None) -> Seen:
    actor: ActorDep = context.actor
    if user_id is not None:
        return await users.find(user_id)
    if actor.user_id is None:
        raise InvalidRequest("This key belongs to no user: name one with user_id.", param="user_id")
    try:
        return await users.find(actor.user_id)
    except NotFound:
        if not actor.principal.is_admin:
            raise
    # Whoever holds the master key is somebody, and need not be in the table.
    now = context.now
    return Seen(user=User(user_id=actor.user_id, user_role=actor.role, created_at=now, updated_at=now))


async def _asked_of_all(users: UserService, body: UsersUpdate) -> list[UserUpdate]:
    if not body.all_users:
        if body.users is None:
            reject_missing("users")
        return body.users
    if body.user_updates is None:
        reject_missing("user_updates")
    wanted = body.user_updates
    return [wanted.model_copy(update={"user_id": user_id}, deep=True) for user_id in await users.all_ids(_MAX_AT_ONCE)]


def _listed(text: str | None) -> list[str] | None:
    return [one.strip() for one in (text or "").split(",") if one.strip()] or None
