"""What the attention weights of an output say of how its input was read."""
