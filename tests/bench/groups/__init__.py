"""The groups of figures, each a module with `measure(bench)`."""
