"""What is measured: names, counting, reading."""
