"""What the loop on a GPU is made of; ``triton_loop.py`` uses it."""
