"""Invitations, with which a person chooses a password: `/invitation/*`."""
