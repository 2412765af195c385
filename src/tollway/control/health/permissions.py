"""Who may see what probes have found, and who may have something probed."""

from __future__ import annotations

from tollway.control.health.schemas import ConnectionTest
from tollway.control.kit.roles import ADMIN, ANY_KEY, VIEWERS, Matrix, fields, read, write

ACCESS: Matrix = {
    ("GET", "/health/latest"): read(VIEWERS),
    ("GET", "/health/history"): read(VIEWERS),
    ("GET", "/health/shared-status"): read(ANY_KEY),
    ("GET", "/health/backlog"): read(ANY_KEY),
    ("GET", "/health/license"): read(ANY_KEY),
    # It sends something, with the credentials of the gateway.
    ("GET", "/health/services"): read(ADMIN),
    # Whoever may have an address called could look around in the network of the gateway.
    ("POST", "/health/test_connection"): write(ADMIN, **fields(ConnectionTest.model_fields, ADMIN)),
}
