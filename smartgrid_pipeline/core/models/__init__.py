"""Forecasters behind one protocol."""
