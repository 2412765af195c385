"""Calls that belong together go to one deployment, so that what its provider keeps of them (a cached prompt) is of use
to the next.

Rendezvous hashing: each deployment has a score for each affinity, and the highest wins. Every process comes to the same
choice without telling anybody; when a deployment is set aside or added only its own share of the calls moves. Weighted
as in Schindelhauer and Schomaker, "Weighted Distributed Hash Tables" (SPAA 2005).
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from math import log

from tollway.core.snapshot import Deployment
from tollway.routing.strategies import weights

_RANGE = float(1 << 64)


def bound_to(affinity: str, deployments: Sequence[Deployment]) -> Deployment:
    """The deployment to which calls of this affinity go, of those that there are."""
    key = affinity.encode(errors="replace")
    shares = weights(deployments)
    scores = [_score(key, one, share) for one, share in zip(deployments, shares, strict=True)]
    return deployments[scores.index(max(scores))]


def _score(key: bytes, deployment: Deployment, share: float) -> float:
    digest = blake2b(deployment.id.encode(), digest_size=8, key=blake2b(key, digest_size=32).digest()).digest()
    uniform = (int.from_bytes(digest) + 0.5) / _RANGE
    return share / -log(uniform) if uniform < 1 else share * _RANGE
