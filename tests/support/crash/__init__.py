"""The crash matrix: one turn, killed at every write, finished by another process, and judged. Start at `turn`."""
