"""Optimizing a picture: losses, objectives, optimizers, scales, tiles and memory."""
