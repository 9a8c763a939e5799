"""Tests of the operator as a process. A package: what its tests share ends with the folder."""
