"""Real studies and their peers with equal wall time; see README.md."""
