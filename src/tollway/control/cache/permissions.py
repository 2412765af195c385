"""Who may call `/cache/*`."""

from __future__ import annotations

from tollway.control.kit.roles import ADMIN, VIEWERS, Matrix, read, write

ACCESS: Matrix = {
    ("GET", "/cache/ping"): read(VIEWERS),
    ("GET", "/cache/redis/info"): read(VIEWERS),
    ("POST", "/cache/delete"): write(ADMIN, keys=ADMIN),
    ("POST", "/cache/clear"): write(ADMIN),
    ("POST", "/cache/flushall"): write(ADMIN),
}
