"""How fast vaults become as declared, against the limits and against the alternatives: ``make bench``."""
