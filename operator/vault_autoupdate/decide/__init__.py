"""What to do about what was seen. Pure."""
