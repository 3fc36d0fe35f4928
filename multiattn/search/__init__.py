"""Decode an encoder's memories into hypotheses: beam search, CTC search, sampling."""
