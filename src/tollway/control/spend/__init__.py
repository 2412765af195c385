"""What was spent: `/spend/*` and `/global/spend*`, read from the one ledger."""
