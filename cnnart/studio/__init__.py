"""A page on one's own machine, and the same as a server: the shell's commands over HTTP."""
