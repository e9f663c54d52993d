"""Shared by forecasting and anomaly detection: the training loop, packed trees, stored models."""
