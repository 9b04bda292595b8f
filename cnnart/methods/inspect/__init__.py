"""Looking into a network: what its layers see, what it depends on, what it wants."""
