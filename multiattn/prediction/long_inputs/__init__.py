"""Inputs that are longer than any in training: cut, decoded in pieces, joined."""
