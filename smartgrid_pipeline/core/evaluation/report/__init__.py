"""The comparison report of a month: tables, figures, page, and the numbers as JSON."""
