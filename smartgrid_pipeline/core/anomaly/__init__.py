"""Anomalies: rules, physics, the ensemble, their fusion, and the faults that test them."""
