"""Drawing primitives, and one module per built-in style: a seed in, a picture out."""
