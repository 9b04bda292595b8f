"""Clips: frames with their times out of a file, and a file out of painted frames."""
