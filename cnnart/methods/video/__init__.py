"""Clips: what holds the frames of one together, whichever method paints them."""
