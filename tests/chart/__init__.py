"""Tests of the chart. A package: what its tests share ends with the folder."""
