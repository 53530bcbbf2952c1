"""How weights are measured beyond what `evaluate` tells everybody."""
