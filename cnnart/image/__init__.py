"""Pictures as tensors: read, write, convert, resize."""
