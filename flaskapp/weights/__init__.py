"""The weights: what is known of them, their graph, and what answers with them."""
