"""Tests on a real API server. A package: what its tests share ends with the folder."""
