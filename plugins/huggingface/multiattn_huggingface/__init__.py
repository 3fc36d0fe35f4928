"""Pretrained encoders of Hugging Face for multiattn; ``plugin.py`` lists all components."""
