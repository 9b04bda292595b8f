"""Training a transformer network for styles of one's own."""
