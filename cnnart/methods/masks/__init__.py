"""Masks that make themselves: the subject, people and faces of a photo."""
