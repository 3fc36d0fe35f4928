"""The speech corpus: commands spoken by a synthesiser."""
