"""What was added over the API, made ready for the compiler: opened, read by the rules of the file, or left out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec

from tollway.config.configuration import Additions, Configuration, Credential, Environment, ModelEntry, ServerSettings
from tollway.config.findings import Findings
from tollway.config.keys import GENERAL
from tollway.config.model_list import read_credential, read_model
from tollway.config.problem import Problem
from tollway.config.sealing import CannotOpen, Sealer
from tollway.ports.models import Stored, StoredCredential, StoredModel

StoredT = TypeVar("StoredT", StoredModel, StoredCredential)
ReadT = TypeVar("ReadT")

OWN_VARIABLES = frozenset(
    variable
    for key in GENERAL.keys
    if key.sets.startswith("server.") and key.kind.is_secret
    for variable in (key.twin, *key.environment)
)
"""Variables with the gateway's own secrets: no model may send them anywhere."""

_PLACE = "database"
_REMEDY = "start with the LITELLM_SALT_KEY (or the file salt_key) it was sealed with, or set its secrets anew"


def open_params(row: StoredModel, sealer: Sealer) -> dict[str, Any]:
    """`litellm_params` of a model as they were written. Raises `CannotOpen`."""
    params: dict[str, Any] = sealer.open(row.params, "models", row.model_id)
    return params


def seal_params(params: Mapping[str, Any], model_id: str, sealer: Sealer) -> dict[str, Any]:
    """What `open_params` opens: every `Secret` sealed."""
    sealed: dict[str, Any] = sealer.seal(params, "models", model_id)
    return sealed


def open_credential(row: StoredCredential, sealer: Sealer) -> dict[str, Any]:
    """The values of a credential as they were written. Raises `CannotOpen`."""
    values: dict[str, Any] = sealer.open(row.credential_values, "credentials", row.credential_name)
    return values


def seal_credential(values: Mapping[str, Any], name: str, sealer: Sealer) -> dict[str, Any]:
    """What `open_credential` opens: every `Secret` sealed."""
    sealed: dict[str, Any] = sealer.seal(values, "credentials", name)
    return sealed


def lendable(environ: Mapping[str, str], server: ServerSettings, master_key: str) -> Environment:
    """The variables that a model may refer to: all but the gateway's own secrets, whatever name they go by."""
    own = {str(secret) for secret in (server.master_key, server.salt_key, server.database_url) if secret}
    own |= {master_key} - {""}
    return Environment(
        {name: value for name, value in environ.items() if name not in OWN_VARIABLES and value.strip() not in own}
    )


def read_additions(
    stored: Stored, configuration: Configuration, *, environ: Mapping[str, str], sealer: Sealer
) -> Additions:
    """The entries and credentials of the database; those that cannot be used are named in `notices`.

    `environ` are the variables that may be referred to: see `lendable`.
    """
    notices: list[Problem] = []

    def model(row: StoredModel) -> ModelEntry | None:
        return read_stored_model(row, open_params(row, sealer), environ=environ, findings=findings)

    def credential(row: StoredCredential) -> Credential | None:
        values = read_credential(open_credential(row, sealer), environ, _PLACE, findings)
        return Credential(name=row.credential_name, values=values, info=row.info)

    findings = Findings()
    enabled = [row for row in stored.models if not row.is_blocked]
    models = _usable({f"model {row.model_name} ({row.model_id})": row for row in enabled}, model, findings, notices)
    named = {f"credential {row.credential_name}": row for row in stored.credentials}
    credentials = _usable(named, credential, findings, notices)
    return Additions(
        models=tuple(models),
        credentials={one.name: one for one in credentials if one.name not in configuration.credentials},
        notices=tuple(notices),
    )


def read_stored_model(
    row: StoredModel, params: Mapping[str, Any], *, environ: Mapping[str, str], findings: Findings
) -> ModelEntry | None:
    """The entry of a row whose parameters have been opened; None, with problems, where it is wrong."""
    document = {
        "model_name": row.model_name,
        "litellm_params": params,
        "model_info": {**row.info, "id": row.model_id},
    }
    entry = read_model(document, environ, _PLACE, findings)
    return msgspec.structs.replace(entry, is_stored=True, team_id=row.team_id) if entry is not None else None


def _usable(
    rows: Mapping[str, StoredT], read: Callable[[StoredT], ReadT | None], findings: Findings, notices: list[Problem]
) -> list[ReadT]:
    usable = []
    closed: dict[str, list[str]] = {}
    for name, row in rows.items():
        before = len(findings.problems)
        try:
            made = read(row)
        except CannotOpen as error:
            closed.setdefault(str(error), []).append(name)
            continue
        problems = findings.problems[before:]
        notices += [
            Problem(one.place, f"{name}: {one.key}", f"left out: {one.message}", one.remedy) for one in problems
        ]
        if made is not None and not problems:
            usable.append(made)
    for reason, names in closed.items():
        message = f"left out, what is sealed in it cannot be opened: {reason}"
        notices.append(Problem(_PLACE, ", ".join(names), message, _REMEDY))
    return usable
