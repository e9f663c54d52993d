"""Error against the number of homes: real sums of the development homes, and a simulated population."""
