"""From one entry of the model list to what can be called: provider, URLs, price, limits, body fields."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import msgspec

from tollway import providers
from tollway.accounting.price_book import ModelFacts
from tollway.accounting.pricing import price_from_config
from tollway.config.configuration import CallSettings, Credential, ModelEntry
from tollway.config.keys import CONNECTION, PARAMS, PRICES
from tollway.config.keys.key import section
from tollway.config.problem import Problem, nearest
from tollway.config.secret import masked
from tollway.core.errors import Misconfigured
from tollway.core.money import nanos_from_dollars
from tollway.core.price import Price
from tollway.core.principal import Scope
from tollway.core.snapshot import Deployment, Probe, Timeouts
from tollway.providers import ConnectionParams, Provider

_CONNECTION = section("litellm_params", CONNECTION)
_PRICES = section("model_info", PRICES)
_DEFAULT_TIMEOUTS = Timeouts()


class Catalogue(Protocol):
    """What is asked of the price book."""

    def find(self, provider: str, model: str) -> ModelFacts | None:
        """Facts about a model as a provider sells it."""
        ...

    def provider_of(self, model: str) -> str | None:
        """The vendor of a bare model name."""
        ...

    def models(self, provider: str) -> Any:
        """Names of a provider's models."""
        ...


class Rejected(Exception):
    """An entry that cannot be called, and why."""

    def __init__(self, problem: Problem, *, is_planned: bool = False, is_unknown_credential: bool = False) -> None:
        """`is_planned`: nothing is wrong with it; a later release will call it.

        `is_unknown_credential`: it names a credential that is not there, or not yet.
        """
        super().__init__(str(problem))
        self.problem = problem
        self.is_planned = is_planned
        self.is_unknown_credential = is_unknown_credential


class Target(msgspec.Struct, frozen=True):
    """Who serves a model, and what they call it."""

    provider: Provider
    model: str


class DeploymentCompiler:
    """Makes deployments of entries. Holds what all of them share."""

    def __init__(
        self,
        calls: CallSettings,
        prices: Catalogue,
        environ: Mapping[str, str],
        credentials: Mapping[str, Credential],
    ) -> None:
        self._calls = calls
        self._prices = prices
        self._environ = environ
        self._credentials = credentials

    def target(self, entry: ModelEntry, model: str) -> Target:
        """The provider behind `provider/name`; else the one named separately; else the vendor known for the name.

        Raises `Rejected` where there is none.
        """
        named = entry.litellm_params.get("custom_llm_provider")
        prefix, slash, rest = model.partition("/")
        if named:
            provider, name = self._known(entry, named), rest if slash and prefix == named else model
        elif slash and (_is_known(prefix)):
            provider, name = self._known(entry, prefix), rest
        else:
            provider, name = self._known(entry, self._vendor_of(entry, model)), model
        if entry.vendors is not None and provider.name not in entry.vendors:
            raise _rejected(entry, "model", f"no credential is known for {provider.name}")
        return Target(provider, name)

    def deployments(self, entry: ModelEntry, *, group: str, model: str) -> Iterator[Deployment]:
        """The deployments of an entry as `group`, calling `model`: one, or one per organization.

        Raises `Rejected` for what cannot be called.
        """
        params = self.params(entry)
        target = self.target(entry, model)
        organizations = params.get("organization") or (None,)
        for organization in organizations:
            connection = self.connection(entry, params, target, organization)
            try:
                yield self._deployment(entry, params, target, connection, group)
            except Misconfigured as error:
                raise _rejected(entry, error.param or "model", error.message) from error
            except ValueError as error:
                raise _rejected(entry, "model_info", str(error)) from error

    def params(self, entry: ModelEntry) -> dict[str, Any]:
        """What counts for an entry: its own word, its credential's, the word for all.

        A team's model gets no secret that its entry does not name: whoever makes it decides where it is sent.
        """
        defaults = self._calls.default_params
        if entry.team_id is not None:
            defaults = {name: value for name, value in defaults.items() if masked(value) == value}
        name = entry.litellm_params.get("litellm_credential_name")
        if name is None:
            return {**defaults, **entry.litellm_params}
        credential = self._credentials.get(name)
        if credential is None:
            meant = nearest(name, self._credentials)
            remedy = f"did you mean `{meant}`?" if meant else "add it to `credential_list`, or with POST /credentials"
            raise _rejected(
                entry, "litellm_credential_name", "is the name of no credential", remedy, is_unknown_credential=True
            )
        params = {**defaults, **credential.values, **entry.litellm_params}
        del params["litellm_credential_name"]
        return params

    def connection(
        self, entry: ModelEntry, params: Mapping[str, Any], target: Target, organization: str | None
    ) -> ConnectionParams:
        """What the provider needs to know to say where and how."""
        headers = {**(params.get("headers") or {}), **(params.get("extra_headers") or {})}
        return ConnectionParams(
            model=target.model,
            api_key=params.get("api_key"),
            api_base=params.get("api_base") or params.get("base_url"),
            api_version=params.get("api_version"),
            organization=organization,
            headers={name: str(value) for name, value in headers.items()},
            extra={name: value for name, value in params.items() if _CONNECTION.find(name) is not None},
            verify=params.get("ssl_verify", self._calls.verify),
            environ=self._environ if entry.team_id is None else {},
            may_use_machine=entry.team_id is None,
        )

    def missing(self, entry: ModelEntry, model: str) -> str | None:
        """What every call of an entry will fail for lack of."""
        params = self.params(entry)
        if "mock_response" in params:
            return None
        target = self.target(entry, model)
        return target.provider.missing(self.connection(entry, params, target, None))

    def _deployment(
        self, entry: ModelEntry, params: Mapping[str, Any], target: Target, connection: ConnectionParams, group: str
    ) -> Deployment:
        provider, info = target.provider, entry.model_info
        facts = self._facts(target, info.get("base_model"))
        endpoints = provider.endpoints(connection)
        origin = next(iter(endpoints.values())).origin
        refused = provider.refuses(target.model) - set(params.get("allowed_openai_params") or ())
        is_one_of_many = len(params.get("organization") or ()) > 1
        deployment_id = _deployment_id(entry, connection.organization, is_one_of_many=is_one_of_many)
        return Deployment(
            id=deployment_id,
            group=group,
            provider=provider.name,
            model=provider.upstream_model(target.model),
            model_name=f"{provider.name}/{target.model}",
            api_base=provider.base(connection).partition("?")[0],
            transport=provider.transport_to(origin, self._environ),
            endpoints=endpoints,
            timeouts=self._timeouts(params),
            price=_price(params, info, facts),
            weight=params.get("weight"),
            order=params.get("order", 0),
            rpm=params.get("rpm"),
            tpm=params.get("tpm"),
            parallel=params.get("max_parallel_requests", self._calls.parallel),
            scopes=self._scopes(deployment_id, group, provider.name, params),
            cooldown_s=params.get("cooldown_time"),
            tags=tuple(params.get("tags") or ()),
            region=params.get("region_name") or params.get("aws_region_name") or params.get("vertex_location") or "",
            is_catch_all="*" in entry.model_name,
            defaults=_raw({name: value for name, value in params.items() if PARAMS.find(name) is None}),
            overrides=_raw({**provider.sets(target.model), **(params.get("extra_body") or {})}),
            dropped=refused | frozenset(params.get("additional_drop_params") or ()),
            renamed=provider.renamed,
            traits=provider.traits,
            cloud=provider.cloud,
            seals=provider.seals(target.model),
            drops_params=params.get("drop_params", self._calls.drops_params),
            sends_stream_usage=provider.understands_stream_usage(connection),
            max_input_tokens=info.get("max_input_tokens") or facts.max_input_tokens,
            max_output_tokens=info.get("max_output_tokens") or info.get("max_tokens") or facts.max_output_tokens,
            mode=info.get("mode") or facts.mode,
            mock_response=params.get("mock_response"),
            probe=self._probe(entry, group),
            info=masked(info),
            is_stored=entry.is_stored,
        )

    def _probe(self, entry: ModelEntry, group: str) -> Probe:
        info = entry.model_info
        stand_in = None
        if (model := info.get("health_check_model")) is not None:
            plain = {name: value for name, value in info.items() if name != "health_check_model"}
            other = msgspec.structs.replace(
                entry,
                litellm_params={**entry.litellm_params, "model": model},
                model_info={**plain, "id": entry.id},
            )
            stand_in = next(self.deployments(other, group=group, model=model))
        return Probe(
            is_left_out=bool(info.get("disable_background_health_check")),
            timeout_s=float(info.get("health_check_timeout") or Probe().timeout_s),
            max_tokens=info.get("health_check_max_tokens") or Probe().max_tokens,
            stand_in=stand_in,
        )

    def _scopes(self, deployment_id: str, group: str, provider: str, params: Mapping[str, Any]) -> tuple[Scope, ...]:
        own = _limits(deployment_id, group, {"max_parallel_requests": self._calls.parallel, **params})
        budget = self._calls.provider_budgets.get(provider)
        of_provider = None if budget is None else Scope(kind="provider", id=provider, label=group, **budget)
        return tuple(scope for scope in (own, of_provider) if scope is not None)

    def _known(self, entry: ModelEntry, name: str) -> Provider:
        found = providers.find(name)
        if found is not None:
            return found
        if reason := providers.planned(name):
            raise _rejected(entry, "model", f"{name} cannot be called yet: {reason}", is_planned=True)
        meant = nearest(name, providers.names())
        raise _rejected(entry, "model", f"{name} is not a known provider", _instead(meant))

    def _vendor_of(self, entry: ModelEntry, model: str) -> str:
        vendor = self._prices.provider_of(model)
        if vendor:
            return vendor
        prefix, slash, _ = model.partition("/")
        meant = nearest(prefix, providers.names()) if slash else None
        raise _rejected(
            entry,
            "model",
            f"{prefix} is not a known provider" if slash else f"no provider is known for the model {model}",
            _instead(meant),
        )

    def _facts(self, target: Target, base_model: str | None) -> ModelFacts:
        """Looked up under `base_model` first: with it the operator says what a name of their own stands for."""
        found = self._facts_of_base(target, base_model) if base_model else None
        found = found or self._prices.find(target.provider.name, target.model)
        return found or ModelFacts(provider=target.provider.name, model=target.model)

    def _facts_of_base(self, target: Target, base_model: str) -> ModelFacts | None:
        prefix, slash, rest = base_model.partition("/")
        found = self._prices.find(prefix, rest) if slash else None
        found = found or self._prices.find(target.provider.name, base_model)
        if found is None and (vendor := self._prices.provider_of(base_model)):
            return self._prices.find(vendor, base_model)
        return found

    def _timeouts(self, params: Mapping[str, Any]) -> Timeouts:
        """The nearest word counts: the entry's, then the router's and the library's, then the defaults."""
        total = params.get("timeout", self._calls.timeout_s)
        stream = params.get("stream_timeout", self._calls.stream_timeout_s)
        if total is None and stream is None:
            return _DEFAULT_TIMEOUTS
        timeouts = _DEFAULT_TIMEOUTS
        if total is not None:
            timeouts = Timeouts(
                connect=min(timeouts.connect, total),
                first_byte=total,
                between_chunks=min(timeouts.between_chunks, total),
                total=total,
            )
        if stream is None:
            return timeouts
        return msgspec.structs.replace(timeouts, first_byte_of_stream=min(stream, timeouts.total))


def _is_known(prefix: str) -> bool:
    return providers.find(prefix) is not None or providers.planned(prefix) is not None


def _instead(meant: str | None) -> str:
    others = "for another OpenAI-compatible server write `openai/<model>` and its `api_base`"
    return f"did you mean `{meant}/…`? {others[0].upper()}{others[1:]}" if meant else others


def _rejected(
    entry: ModelEntry,
    param: str,
    message: str,
    remedy: str = "",
    *,
    is_planned: bool = False,
    is_unknown_credential: bool = False,
) -> Rejected:
    problem = Problem(entry.places.get(param, entry.origin), f"model {entry.model_name}: {param}", message, remedy)
    return Rejected(problem, is_planned=is_planned, is_unknown_credential=is_unknown_credential)


def _limits(deployment_id: str, group: str, params: Mapping[str, Any]) -> Scope | None:
    budget, duration = params.get("max_budget"), params.get("budget_duration")
    rpm, tpm, parallel = params.get("rpm"), params.get("tpm"), params.get("max_parallel_requests")
    if all(limit is None for limit in (budget, rpm, tpm, parallel)):
        return None
    return Scope(
        kind="deployment",
        id=deployment_id,
        label=group,
        rpm=rpm,
        tpm=tpm,
        parallel=parallel,
        budget_nanos=None if budget is None else nanos_from_dollars(budget),
        budget_duration=duration,
    )


def _deployment_id(entry: ModelEntry, organization: str | None, *, is_one_of_many: bool) -> str:
    if not is_one_of_many:
        return entry.id
    return hashlib.sha256(f"{entry.id}:{organization}".encode()).hexdigest()


def _price(params: Mapping[str, Any], info: Mapping[str, Any], facts: ModelFacts) -> Price:
    """What the configuration says; else what the price book says."""
    said = {name: value for source in (info, params) for name, value in source.items() if _PRICES.find(name)}
    return (price_from_config(said, book=facts.price) if said else None) or facts.price


def _raw(fields: Mapping[str, Any]) -> dict[str, msgspec.Raw]:
    return {name: msgspec.Raw(msgspec.json.encode(value, enc_hook=str)) for name, value in fields.items()}
