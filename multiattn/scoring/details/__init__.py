"""What is wrong with outputs, not only how much."""
