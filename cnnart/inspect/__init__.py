"""Methods that look into a network; each ends in an ``Inspection``: pictures and numbers."""
