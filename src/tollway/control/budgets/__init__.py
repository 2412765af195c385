"""Budgets as shared objects: `/budget/*`."""
