"""DeepDream, feature visualization, and flights through either."""
