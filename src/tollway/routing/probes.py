"""What the newest probes found, as far as it speaks against a deployment."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from tollway.core.health import Checked
from tollway.core.routing import Probed
from tollway.core.snapshot import Deployment

_PASSING = frozenset({408, 429})


class ProbeBook:
    """The newest failed probes of all deployments, as one process knows them."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock` gives epoch seconds."""
        self._clock = clock
        self._failed: dict[str, Checked] = {}

    def __bool__(self) -> bool:
        """Whether any may have failed. False is certain, and quick to find out."""
        return bool(self._failed)

    def replace(self, newest: Iterable[Checked]) -> None:
        """Takes the newest result of each deployment."""
        self._failed = {one.model_id: one for one in newest if not one.is_healthy}

    def find(self, deployment: Deployment, rules: Probed) -> Checked | None:
        """The failed probe for which a deployment is to be avoided; None: it may be asked."""
        found = self._failed.get(deployment.id)
        if found is None or self._clock() - found.checked_at / 1e6 > rules.stale_after_s:
            return None
        return None if rules.ignores_passing and found.status_code in _PASSING else found
