"""What makes the shipped corpora. Standard library only; `data/make.py` runs it."""
