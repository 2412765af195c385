"""How one of several deployments is chosen: a function for each strategy, all alike."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate

from tollway.core.routing import Routing, Strategy
from tollway.core.snapshot import Deployment
from tollway.routing.state import DeploymentStates

_UNKNOWN = float("-inf")
"""Below every latency."""

Choose = Callable[[Sequence[Deployment], DeploymentStates, Routing], Deployment]
"""One of the deployments, of which there is at least one."""


def weights(deployments: Sequence[Deployment]) -> list[float]:
    """The shares of deployments: their weights, else their rpm, else their tpm; where nobody has any, equal ones.

    One that names none among others that do weighs 1, or as much as the largest limit.
    """
    if any(one.weight is not None for one in deployments):
        found = [1.0 if one.weight is None else max(one.weight, 0.0) for one in deployments]
        return found if any(found) else [1.0] * len(found)
    for limits in ([one.rpm for one in deployments], [one.tpm for one in deployments]):
        known = [limit for limit in limits if limit is not None]
        if known and max(known) > 0:
            largest = max(known)
            return [float(largest if limit is None else limit) for limit in limits]
    return [1.0] * len(deployments)


def shuffle(deployments: Sequence[Deployment], states: DeploymentStates, routing: Routing) -> Deployment:
    """At random, by weight."""
    return random.choices(deployments, cum_weights=list(accumulate(weights(deployments))))[0]


def least_busy(deployments: Sequence[Deployment], states: DeploymentStates, routing: Routing) -> Deployment:
    """The one with the fewest calls on their way; of several, any."""
    return _any_of_least(deployments, [states.of(one).in_flight for one in deployments])


def quickest(deployments: Sequence[Deployment], states: DeploymentStates, routing: Routing) -> Deployment:
    """Any of those within the buffer above the lowest latency; those of which nothing recent is known come first."""
    since = states.now() - routing.latency_kept_s
    known = [states.of(one) for one in deployments]
    latencies = [_UNKNOWN if state.measured_at <= since else state.latency for state in known]
    bound = min(latencies) * (1 + routing.latency_buffer)
    return _any([one for one, latency in zip(deployments, latencies, strict=True) if latency <= bound])


def least_used(deployments: Sequence[Deployment], states: DeploymentStates, routing: Routing) -> Deployment:
    """The one that has had the fewest tokens this minute; of several, any."""
    return _any_of_least(deployments, states.tokens_this_minute(deployments))


def cheapest(deployments: Sequence[Deployment], states: DeploymentStates, routing: Routing) -> Deployment:
    """The lowest price of a token in and a token out; those of unknown price come last."""
    return _any_of_least(deployments, [_price(one) for one in deployments])


def all_cheapest(deployments: Sequence[Deployment]) -> Sequence[Deployment]:
    """Those of the lowest price."""
    prices = [_price(one) for one in deployments]
    lowest = min(prices)
    return [one for one, price in zip(deployments, prices, strict=True) if price == lowest]


STRATEGIES: Mapping[Strategy, Choose] = {
    "simple-shuffle": shuffle,
    "least-busy": least_busy,
    "latency-based-routing": quickest,
    "usage-based-routing": least_used,
    "usage-based-routing-v2": least_used,
    "cost-based-routing": cheapest,
    "provider-budget-routing": shuffle,
}


def _any_of_least(deployments: Sequence[Deployment], figures: Sequence[float]) -> Deployment:
    least = min(figures)
    if figures.count(least) == 1:
        return deployments[figures.index(least)]
    return _any([one for one, figure in zip(deployments, figures, strict=True) if figure == least])


def _any(deployments: Sequence[Deployment]) -> Deployment:
    return deployments[int(random.random() * len(deployments))]  # `random.choice` takes four times as long


def _price(deployment: Deployment) -> float:
    price = deployment.price
    if not price.is_known:
        return float("inf")
    return (price.rates.input + price.rates.output) / price.denominator
