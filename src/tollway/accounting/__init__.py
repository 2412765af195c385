"""What a call costs, and how the ledger comes to know it."""
