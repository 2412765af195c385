"""Moves an existing LiteLLM database in: keys, people, budgets, models and what they spent.

Source ── rows ── rules ── wire fields ── (management's own checks) ── Target
                                └── Report: what became of every row and every field
"""
