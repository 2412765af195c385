"""Bodies of `/organization/*`, under the wire contract's names."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import ConfigDict, Field, model_validator

from tollway.control.kit.body import Body, Dollars, Name, example
from tollway.control.kit.budgets import LinkedBudgetFields
from tollway.control.kit.wire import WireModel

MemberRole = Literal["org_admin", "internal_user", "internal_user_viewer"]


class OrganizationFields(LinkedBudgetFields):
    """What can be said about an organization. Budget fields belong to the budget it links to."""

    organization_alias: Name = None
    """What people call it."""
    models: list[str] | None = None
    """Models its keys may use; empty: all."""
    metadata: dict[str, Any] | None = None
    model_rpm_limit: dict[str, int] | None = None
    model_tpm_limit: dict[str, int] | None = None
    object_permission: dict[str, Any] | None = None


class OrganizationCreate(OrganizationFields):
    """`POST /organization/new`."""

    model_config = example(
        organization_id="acme", organization_alias="Acme", models=["gpt-4o"], max_budget=10000, budget_duration="30d"
    )

    organization_alias: str = Field(min_length=1)
    organization_id: Name = None
    """An id of one's own; without one it gets a UUID."""


class OrganizationUpdate(OrganizationFields):
    """`PATCH /organization/update`: absent leaves a field alone, null clears it."""

    organization_id: str


class OrganizationPatch(OrganizationFields):
    """`PATCH /v2/organization/{organization_id}`: the same; unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=(), hide_input_in_errors=True)


class OrganizationIds(Body):
    """`DELETE /organization/delete`."""

    organization_ids: list[str] = Field(min_length=1, max_length=1000)


class OrganizationQuestion(Body):
    """`POST /organization/info`."""

    organizations: list[str] = Field(max_length=1000)


class Person(WireModel):
    """Somebody, by id or e-mail address."""

    user_id: Name = None
    user_email: Name = None

    @model_validator(mode="after")
    def _check_named(self) -> Person:
        if self.user_id is None and self.user_email is None:
            raise ValueError("Either user_id or user_email must be given")
        return self


class NewMember(Person):
    """Somebody, and what they are in the organization."""

    role: MemberRole


class MembersAdd(Body):
    """`POST /organization/member_add`: one member, or a list of them."""

    organization_id: str
    member: NewMember | list[NewMember]
    max_budget_in_organization: Dollars = None
    """What each of them may spend in this organization."""


class _MemberNamed(Body):
    organization_id: str
    user_id: Name = None
    user_email: Name = None

    @model_validator(mode="after")
    def _check_named(self) -> _MemberNamed:
        if self.user_id is None and self.user_email is None:
            raise ValueError("Either user_id or user_email must be given")
        return self


class MemberUpdate(_MemberNamed):
    """`PATCH /organization/member_update`."""

    role: MemberRole | None = None
    max_budget_in_organization: Dollars = None


class MemberDelete(_MemberNamed):
    """`DELETE /organization/member_delete`."""


class OrganizationOut(WireModel):
    """An organization."""

    organization_id: str
    organization_alias: str | None
    budget_id: str | None
    spend: float
    metadata: dict[str, Any]
    models: list[str]
    model_spend: dict[str, float] = {}
    object_permission: dict[str, Any] | None
    object_permission_id: None = None
    users: None = None
    litellm_budget_table: dict[str, Any] | None
    created_at: datetime
    created_by: str | None
    updated_at: datetime
    updated_by: str | None


class UserOut(WireModel):
    """A person, as members of an organization are shown."""

    user_id: str
    user_email: str | None
    user_alias: str | None
    user_role: str | None
    created_at: datetime
    updated_at: datetime


class MembershipOut(WireModel):
    """Somebody in an organization."""

    organization_id: str
    user_id: str
    user_role: str
    user_email: str | None
    spend: float
    budget_id: str | None
    litellm_budget_table: dict[str, Any] | None
    user: UserOut | None
    created_at: datetime
    updated_at: datetime


class TeamOut(WireModel):
    """A team, as an organization lists it; `/team/info` has the rest."""

    team_id: str
    team_alias: str | None
    organization_id: str | None
    models: list[str]
    blocked: bool
    metadata: dict[str, Any]
    spend: float
    max_budget: float | None
    soft_budget: float | None
    budget_duration: str | None
    tpm_limit: int | None
    rpm_limit: int | None
    max_parallel_requests: int | None
    created_at: datetime
    updated_at: datetime


class OrganizationFull(OrganizationOut):
    """An organization with those who belong to it, as far as the caller may see them."""

    members: list[MembershipOut]
    teams: list[TeamOut]


class MembersAdded(WireModel):
    """`POST /organization/member_add`."""

    organization_id: str
    updated_users: list[UserOut]
    updated_organization_memberships: list[MembershipOut]
