"""Checks beside the tests: vulnerabilities, mutants, what the operator consists of."""
