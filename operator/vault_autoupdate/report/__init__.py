"""From facts to words, and back from the words after a restart. Pure."""
