"""Who is champion: its history, the ledger and the checks before a promotion."""
