"""Tags of calls, and their budgets: `/tag/*`."""
