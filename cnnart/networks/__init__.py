"""Networks to look into and to dream with, by name: embedded, torchvision's, or the user's own."""
