"""How fast the experts and the mixture learn on the full house, against what the processor could do."""
