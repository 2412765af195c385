"""What a team may have inside an organization. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from tollway.core.errors import InvalidRequest
from tollway.core.money import dollars_from_nanos
from tollway.core.snapshot import ModelGroup
from tollway.policy.access import covers
from tollway.stores.sql.rows import Budget, Organization, Team


def check_within(
    team: Team,
    organization: Organization,
    budget: Budget | None,
    groups: Mapping[str, ModelGroup],
    *,
    fields: Collection[str],
) -> None:
    """Raises `InvalidRequest` for the first of these fields in which the team has more than its organization.

    A team without a limit of its own is held by the organization's: that is no more than it has.
    """
    if "models" in fields and organization.models:
        allowed = frozenset(organization.models)
        for model in team.models:
            if not covers(allowed, model, _access_groups(model, groups)):
                raise _beyond(organization, "models", f"'{model[:100]}'", f"models={organization.models}")
    if budget is None:
        return
    for name, own, most in (
        ("tpm_limit", team.tpm_limit, budget.tpm_limit),
        ("rpm_limit", team.rpm_limit, budget.rpm_limit),
        ("max_parallel_requests", team.parallel_limit, budget.parallel_limit),
    ):
        if name in fields and own is not None and most is not None and own > most:
            raise _beyond(organization, name, str(own), f"{name}={most}")
    own, most = team.max_budget_nanos, budget.max_budget_nanos
    if "max_budget" in fields and own is not None and most is not None and own > most:
        raise _beyond(
            organization, "max_budget", str(dollars_from_nanos(own)), f"max_budget={dollars_from_nanos(most)}"
        )


def _access_groups(model: str, groups: Mapping[str, ModelGroup]) -> frozenset[str]:
    group = groups.get(model)
    return group.access_groups if group is not None else frozenset()


def _beyond(organization: Organization, field: str, wanted: str, limit: str) -> InvalidRequest:
    return InvalidRequest(
        f"{field} {wanted} of the team is beyond its organization ({organization.organization_id}): {limit}. "
        f"Ask for less, or raise the organization's.",
        param=field,
        type="bad_request_error",
    )
