"""Fast style transfer: one forward pass of a trained network per picture, and its training."""
