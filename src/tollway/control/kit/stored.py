"""Models, credentials and settings in the database: what may be written, and how it is shown, for every resource.

The rules are the file's: `config.model_list` reads what is sent, `config.compile` makes a deployment of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from tollway.config.compile import check_entry
from tollway.config.configuration import Additions
from tollway.config.findings import Findings
from tollway.config.located import REFERENCE
from tollway.config.model_list import protect_params
from tollway.config.problem import ConfigurationError, Problem
from tollway.config.sealing import CannotOpen, hidden, is_sealed, sealed_texts
from tollway.config.secret import MASK, Secret, masked
from tollway.config.stored import OWN_VARIABLES, open_params, read_additions, read_stored_model
from tollway.control.kit.context import Context, Unit, changing
from tollway.control.kit.rows import Rows
from tollway.control.services import Services
from tollway.core.errors import Forbidden, InvalidRequest, TollwayError
from tollway.db.models import credentials, models
from tollway.ports.models import Stored, StoredCredential, StoredModel


class ModelRows(Rows[StoredModel]):
    """The table `models`."""

    def __init__(self, connection: AsyncConnection) -> None:
        super().__init__(connection, models, StoredModel)


class CredentialRows(Rows[StoredCredential]):
    """The table `credentials`."""

    def __init__(self, connection: AsyncConnection) -> None:
        super().__init__(connection, credentials, StoredCredential)


def is_of_file(services: Services, model_id: str) -> bool:
    """Whether this is a model of the configuration: nobody changes those over the API."""
    served = services.snapshot().by_id.get(model_id)
    is_served = served is not None and not served.deployments[0].is_stored
    return is_served or any(entry.id == model_id for entry in services.configuration().models)


def holds_secret(name: str, value: Any) -> bool:
    """Whether a parameter is a secret, or leads to one."""
    protected = protect_params({name: value})
    is_reference = any(text.startswith(REFERENCE) for _, text in _texts(value, name))
    return name == "litellm_credential_name" or is_reference or masked(protected) != {name: value}


def public_name(row: StoredModel) -> str:
    """What callers say to have this model."""
    return str(row.info.get("team_public_model_name") or row.model_name) if row.team_id else row.model_name


def storing(context: Context) -> AbstractAsyncContextManager[Unit]:
    """`changing`, for what the setting `store_model_in_db` allows. Raises where it does not."""
    if not context.services.configuration().server.stores_models:
        raise TollwayError(
            "Models and settings are not kept in the database here: STORE_MODEL_IN_DB "
            "(general_settings.store_model_in_db) is switched off. "
            "Set STORE_MODEL_IN_DB=True and restart, or remove the setting.",
            type="auth_error",
        )
    return changing(context)


def check_written(services: Services, written: Mapping[str, Any], *, field: str, lends_secrets: bool) -> list[str]:
    """What ought to be known about parameters as they were sent. Raises for those that must not be stored.

    `lends_secrets`: the sender may refer to the gateway's environment and to its credentials.
    """
    warnings = []
    for path, text in _texts(written, field):
        if text.startswith(REFERENCE):
            name = text.removeprefix(REFERENCE).strip()
            if not lends_secrets:
                raise Forbidden(
                    f"{path}: only a proxy_admin may refer to the environment. Send the value itself.", param=field
                )
            if (problem := _reference_problem(services, name)) is not None:
                raise InvalidRequest(f"{path}: {problem}", param=field, type="bad_request_error")
            if name not in services.lendable():
                warnings.append(f"{path}: {name} is not set in the environment of this gateway")
        elif is_sealed(text):
            raise InvalidRequest(f"{path}: a sealed value cannot be sent, send the secret itself.", param=field)
    if not lends_secrets and "litellm_credential_name" in written:
        raise Forbidden("Only a proxy_admin may use a credential of the gateway. Send `api_key` instead.", param=field)
    return warnings


def _reference_problem(services: Services, name: str) -> str | None:
    is_withheld = name in services.configuration().environ and name not in services.lendable()
    if name in OWN_VARIABLES or is_withheld:
        return f"{name} is a secret of the gateway itself and goes to no provider. Refer to the provider's own key."
    return None


def merged(
    stored: Mapping[str, Any], sent: Mapping[str, Any], *, show: Callable[[Any], Any] = masked
) -> dict[str, Any]:
    """What was stored with what was sent over it: null clears, and what an answer showed masked stays as it was.

    `show` is how answers mask it. Raises `InvalidRequest` for a mask where there is nothing behind it.
    """
    result = dict(stored)
    for name, value in sent.items():
        before = stored.get(name)
        if value is None:
            result.pop(name, None)
        elif before is None or value != show(before):
            result[name] = value
    for path, text in _texts(result, ""):
        if text == MASK and not isinstance(text, Secret):
            raise InvalidRequest(
                f"{path.lstrip('.')}: {MASK} only stands for a secret in answers. Send the secret, or leave it out.",
                param=path.lstrip("."),
                type="bad_request_error",
            )
    return result


async def check_model(
    services: Services, connection: AsyncConnection, row: StoredModel, params: Mapping[str, Any]
) -> list[str]:
    """What ought to be known about a model that is going to be stored. Raises `InvalidRequest` if it cannot be called.

    `params` are its parameters with nothing sealed in them.
    """
    findings = Findings()
    entry = read_stored_model(row, params, environ=services.lendable(), findings=findings)
    notices = findings.notices
    try:
        if findings.problems or entry is None:
            raise ConfigurationError(findings.problems)
        additions = await load_additions(services, connection)
        notices = notices + check_entry(
            entry, services.configuration(), prices=services.prices, credentials=additions.credentials
        )
    except ConfigurationError as error:
        raise invalid(error.problems) from None
    return [sentence(notice) for notice in notices]


async def load_additions(services: Services, connection: AsyncConnection) -> Additions:
    """The credentials of the database as this transaction sees them, ready to be compiled with."""
    found = Stored(credentials=tuple(await CredentialRows(connection).all()))
    if next(sealed_texts([row.credential_values for row in found.credentials]), None) is not None:
        await services.sealer.ready()
    return read_additions(found, services.configuration(), environ=services.lendable(), sealer=services.sealer)


def invalid(problems: Iterable[Problem]) -> InvalidRequest:
    """Everything that is wrong, as one answer."""
    problems = list(problems)
    return InvalidRequest(
        ". ".join(sentence(problem) for problem in problems),
        param=problems[0].key.rpartition(": ")[2] if problems else None,
        type="bad_request_error",
    )


def show_params(services: Services, row: StoredModel) -> dict[str, Any]:
    """`litellm_params` of a row as an answer may have them: every secret masked, references as written."""
    try:
        shown = masked(protect_params(open_params(row, services.sealer)))
    except CannotOpen:
        shown = hidden(row.params)
    return dict(shown)


def sentence(problem: Problem) -> str:
    """A problem or a notice as callers read it."""
    subject = f"{problem.key}: " if problem.key else ""
    return f"{subject}{problem.message}" + (f" ({problem.remedy})" if problem.remedy else "")


def _texts(value: Any, path: str) -> Iterable[tuple[str, str]]:
    match value:
        case Mapping():
            for name, item in value.items():
                yield from _texts(item, f"{path}.{name}")
        case list():
            for index, item in enumerate(value):
                yield from _texts(item, f"{path}[{index}]")
        case str():
            yield path, value
        case _:
            return
