"""Model access groups: names by which keys and teams are given several models, and budgets of such groups."""
