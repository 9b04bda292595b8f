"""Where the embedded weights come from: one module for each, with ``build(folder) -> Built``."""
