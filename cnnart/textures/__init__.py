"""Texture synthesis: more of an exemplar, in any size, by a network or from its patches."""
