"""Fast style transfer: a feedforward network for many styles."""
