"""Promotion of a challenger: evidence, rule, costs of deployment, readiness for production."""
