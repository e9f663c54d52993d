"""One file per stage of the graph."""
