"""MLflow: tracked runs, registered models, promotion and its ledger."""
