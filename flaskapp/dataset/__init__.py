"""People and photos on disk: sets of training photos, aligned crops."""
