"""Training: the base network, step by step."""
