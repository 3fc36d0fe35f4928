"""The speech encoder: log-mel filterbanks, SpecAugment, time reduction, bidirectional LSTM."""
