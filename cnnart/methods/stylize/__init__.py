"""Neural style transfer by optimization."""
