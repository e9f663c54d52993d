"""Running the graph from a program: the Dagster instance, its jobs, and the lock that allows one run."""
