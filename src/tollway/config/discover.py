"""Doing without a file: what the environment offers becomes models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from tollway import providers
from tollway.config.configuration import ModelEntry, entry_id
from tollway.providers import Provider

_FREE = {"input_cost_per_token": 0, "output_cost_per_token": 0}


def discover(environ: Mapping[str, str], *, local_models: Sequence[str] = ()) -> tuple[ModelEntry, ...]:
    """The models that need no configuration.

    - `demo`, which answers by itself;
    - for every provider whose credentials `environ` holds, `provider/*`, and the vendor's bare names through `*`;
    - `local_models`, the names a model server on this machine gave, bare and as `ollama/…`.
    """
    vendors = providers.for_environment(environ)
    return (
        _entry("demo", "demo/demo", "built in", info=_FREE),
        *(entry for name in local_models for entry in _local(name)),
        *(_entry(f"{vendor.name}/*", f"{vendor.name}/*", _reason(vendor, environ)) for vendor in vendors),
        *_bare(vendors),
    )


def _local(name: str) -> Iterator[ModelEntry]:
    for public_name in (name, f"ollama/{name}"):
        yield _entry(public_name, f"ollama/{name}", "found on this machine")


def _bare(vendors: Sequence[Provider]) -> Iterator[ModelEntry]:
    if vendors:
        names = frozenset(vendor.name for vendor in vendors)
        yield _entry("*", "*", "provider keys in the environment", vendors=names)


def _reason(vendor: Provider, environ: Mapping[str, str]) -> str:
    found = next((name for name in (*vendor.key_env, *vendor.base_env) if environ.get(name)), vendor.name)
    return f"environment {found}"


def _entry(
    name: str,
    model: str,
    origin: str,
    *,
    info: Mapping[str, object] | None = None,
    vendors: frozenset[str] | None = None,
) -> ModelEntry:
    params = {"model": model}
    return ModelEntry(
        model_name=name,
        litellm_params=params,
        model_info=info or {},
        id=entry_id(name, params),
        origin=origin,
        vendors=vendors,
    )
