"""The comparison report: tables, plots and the page."""
