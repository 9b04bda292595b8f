"""One command, one object: its inputs by name and its settings, and the way to run it."""
