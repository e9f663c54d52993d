"""The work of each asset, one file per step of a month, without Dagster: plain arguments in, values out."""
