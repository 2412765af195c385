"""Is the model that the semantic cache names one that makes vectors?"""

from __future__ import annotations

from tollway.config.configuration import Configuration
from tollway.config.keys import CACHE_PARAMS
from tollway.config.problem import Problem, nearest
from tollway.core.snapshot import Snapshot
from tollway.gateway.conversation import speaks
from tollway.routing.router import Router

_NAME = "semantic_cache_embedding_model"


def embedder_problem(configuration: Configuration, snapshot: Snapshot) -> Problem | None:
    """What is wrong with it, if anything is."""
    likeness = configuration.caching.likeness if configuration.caching is not None else None
    if likeness is None:
        return None
    router = Router(snapshot)
    group = router.group(likeness.model)
    if group is not None and any(speaks(one, "embeddings") for one in group.deployments):
        return None
    message = f"{likeness.model} is no model of this gateway" if group is None else f"{likeness.model} embeds nothing"
    able = [each.name for each in snapshot.groups.values() if any(one.mode == "embedding" for one in each.deployments)]
    meant = nearest(likeness.model, able)
    remedy = f"did you mean `{meant}`?" if meant else f"name a model of `model_list` that makes embeddings in `{_NAME}`"
    return Problem(configuration.origins[CACHE_PARAMS.name].origin, f"{CACHE_PARAMS.name}.{_NAME}", message, remedy)
