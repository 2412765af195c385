"""`model_list`: from what was written to entries that can be compiled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from tollway.config.configuration import ModelEntry, entry_id
from tollway.config.findings import Findings
from tollway.config.keys import BODY_FIELDS, CONNECTION, ENTRY, INFO, PARAMS, Section
from tollway.config.keys.key import section
from tollway.config.located import REFERENCE, Located, locate, plain, resolve
from tollway.config.problem import nearest_typo
from tollway.config.secret import Secret, protect, with_leaves

_HEADERS = frozenset({"headers", "extra_headers"})
"""Parameters whose every text may be a credential, whatever name it goes by."""

_ADDRESS = frozenset({"api_key", "api_base", "base_url", "api_version", "organization"})
_CONNECTION = section("litellm_params", CONNECTION)


def read_models(written: Located, resolved: Located, findings: Findings) -> tuple[ModelEntry, ...]:
    """Entries of a `model_list` node. `written` is the same node with references to the environment left in."""
    if not isinstance(resolved.value, list):
        if resolved.value is not None:
            findings.reject(resolved.place, "model_list", "expected a list of models, each with `- model_name: …`")
        return ()
    occurrences: Counter[str] = Counter()
    entries = []
    for index, (raw, node) in enumerate(zip(written.value, resolved.value, strict=True)):
        entry = _read_entry(raw, node, f"model_list[{index}]", findings)
        if entry is not None:
            entries.append(_with_own_id(entry, raw, occurrences))
    _reject_repeated_ids(entries, findings)
    return tuple(entries)


def read_model(
    document: Mapping[str, Any], environ: Mapping[str, str], place: str, findings: Findings
) -> ModelEntry | None:
    """One element of a `model_list` that comes from elsewhere than a file; None, with problems, where it is wrong.

    References count in `litellm_params` alone: what is known about a model is shown to everybody.
    """
    written = locate(document, place)
    params = resolve(written.items["litellm_params"], environ)
    resolved = Located({**written.items, "litellm_params": params}, place, 0)
    return _read_entry(written, resolved, "", findings)


def read_credential(
    values: Mapping[str, Any], environ: Mapping[str, str], place: str, findings: Findings
) -> dict[str, Any]:
    """Parameters of a connection, kept under a name of their own."""
    return read_params(resolve(locate(values, place), environ), "credential_values", findings)


def connection_params(params: Mapping[str, Any]) -> dict[str, Any]:
    """Those of an entry's parameters that say where and with which credential, as a credential has them."""
    return {name: value for name, value in params.items() if name in _ADDRESS or _CONNECTION.find(name) is not None}


def protect_params(params: Mapping[str, Any]) -> dict[str, Any]:
    """`litellm_params` as written, in which every text that may be a secret is a `Secret`. References are none."""
    return {name: _protect_param(name, value) for name, value in params.items()}


def _protect_param(name: str, value: Any) -> Any:
    key = PARAMS.find(name)
    is_secret = name in _HEADERS or (key is not None and key.kind.is_secret)
    return with_leaves(protect(value, "secret" if is_secret else name), _unprotected_reference)


def _unprotected_reference(leaf: Any) -> Any:
    return str(leaf) if isinstance(leaf, Secret) and leaf.startswith(REFERENCE) else leaf


def read_params(node: Located, path: str, findings: Findings) -> dict[str, Any]:
    """`litellm_params`: known keys as their kind says, anything else as it is, because it goes into bodies."""
    _reject_mistyped(node, path, findings)
    params = {}
    for name, member in node.items.items():
        if (value := _read_member(PARAMS, name, member, f"{path}.{name}", findings)) is not None:
            params[name] = value
    return params


def _read_entry(raw: Located, node: Located, path: str, findings: Findings) -> ModelEntry | None:
    if not isinstance(node.value, dict):
        findings.reject(node.place, path, "expected a mapping with `model_name` and `litellm_params`")
        return None
    findings.check_names(node, ENTRY, path)
    under = f"{path}." if path else ""
    members = node.items
    missing = [name for name in ("model_name", "litellm_params") if name not in members]
    for name in missing:
        findings.reject(node.place, path, f"`{name}` is missing")
    if missing:
        return None
    before = len(findings.problems)
    name = findings.read_node(ENTRY.by_name["model_name"].kind, members["model_name"], f"{under}model_name")
    if not name and len(findings.problems) == before:
        findings.reject(members["model_name"].place, f"{under}model_name", "is empty")
    params_node = members["litellm_params"]
    _require_mapping(params_node, f"{under}litellm_params", findings)
    params = read_params(params_node, f"{under}litellm_params", findings)
    if "model" not in params and len(findings.problems) == before:
        findings.reject(
            params_node.place, f"{under}litellm_params", "`model` is missing", "write `model: provider/name`"
        )
    info = _read_info(members.get("model_info"), f"{under}model_info", findings)
    if len(findings.problems) > before:
        return None
    return ModelEntry(
        model_name=info.get("team_public_model_name") or name,
        litellm_params=params,
        model_info=info,
        id=str(info.get("id") or entry_id(name, plain(raw.items["litellm_params"]))),
        team_id=info.get("team_id"),
        origin=node.place,
        places={name: member.place for name, member in params_node.items.items()},
    )


def _read_info(node: Located | None, path: str, findings: Findings) -> dict[str, Any]:
    if node is None or node.value is None:
        return {}
    _require_mapping(node, path, findings)
    info = {}
    for name, member in node.items.items():
        if INFO.find(name) is None and (meant := nearest_typo(name, INFO.by_name)):
            findings.note(member.place, f"{path}.{name}", "is only shown in listings", f"did you mean `{meant}`?")
        if (value := _read_member(INFO, name, member, f"{path}.{name}", findings)) is not None:
            info[name] = value
    return info


def _read_member(section: Section, name: str, node: Located, path: str, findings: Findings) -> Any:
    key = section.find(name)
    if key is None:
        return protect(plain(node), name)
    findings.note_support(key, node, path)
    if key.support != "supported":
        return protect(plain(node), name)
    return protect(findings.read_node(key.kind, node, path), name)


def _require_mapping(node: Located, path: str, findings: Findings) -> None:
    if not isinstance(node.value, dict):
        findings.reject(node.place, path, "expected a mapping")


def _reject_mistyped(node: Located, path: str, findings: Findings) -> None:
    for name, member in node.items.items():
        if name in BODY_FIELDS or PARAMS.find(name) is not None:
            continue
        if meant := nearest_typo(name, PARAMS.by_name):
            findings.reject(
                member.place,
                f"{path}.{name}",
                "is not a known key",
                f"did you mean `{meant}`? A body field of that name goes under `extra_body`",
            )


def _with_own_id(entry: ModelEntry, raw: Located, occurrences: Counter[str]) -> ModelEntry:
    """Tells entries apart that are equal to the letter."""
    seen = occurrences[entry.id]
    occurrences[entry.id] += 1
    if not seen or "id" in entry.model_info:
        return entry
    return msgspec.structs.replace(entry, id=entry_id(entry.model_name, plain(raw.items["litellm_params"]), seen))


def _reject_repeated_ids(entries: list[ModelEntry], findings: Findings) -> None:
    for entry, first in _repeated(entries):
        findings.reject(
            entry.origin,
            "model_info.id",
            f"{entry.id!r} is the id of another model ({first.origin})",
            "ids have to differ, or leave them out",
        )


def _repeated(entries: list[ModelEntry]) -> Iterator[tuple[ModelEntry, ModelEntry]]:
    first: dict[str, ModelEntry] = {}
    for entry in entries:
        if first.setdefault(entry.id, entry) is not entry:
            yield entry, first[entry.id]
