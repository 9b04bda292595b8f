"""The networks' weights: embedded, imported or downloaded."""
