"""Who may call `/invitation/*`.

An invitation is a way into an account, so no viewer reads one, and whoever is not a proxy admin invites only people
of theirs who have not chosen a password yet.
"""

from __future__ import annotations

from tollway.control.kit.roles import MANAGERS, Matrix, read, write

ACCESS: Matrix = {
    ("POST", "/invitation/new"): write(MANAGERS, user_id=MANAGERS),
    ("GET", "/invitation/info"): read(MANAGERS),
    ("POST", "/invitation/update"): write(MANAGERS, invitation_id=MANAGERS, is_accepted=MANAGERS),
    ("POST", "/invitation/delete"): write(MANAGERS, invitation_id=MANAGERS),
}
