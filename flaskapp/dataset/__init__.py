"""People and photos on disk: lists of pairs, sets of training photos, aligned crops."""
