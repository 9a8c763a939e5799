"""What is declared, what Azure says, and the words for it. Pure."""
