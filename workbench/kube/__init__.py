"""Kubernetes API servers to work against: a real one, or an emulator."""
