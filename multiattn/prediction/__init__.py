"""Prediction: a trained run as a function."""
