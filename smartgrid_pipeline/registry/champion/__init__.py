"""Who is champion: its history, the ledger and the evidence a promotion demands."""
