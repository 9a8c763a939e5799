"""A real Prometheus, and what it is asked."""
