"""The main job from end to end on one machine: ``make demo``."""
