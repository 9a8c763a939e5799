"""Tests of what can be seen of the operator. A package: what its tests share ends with the folder."""
