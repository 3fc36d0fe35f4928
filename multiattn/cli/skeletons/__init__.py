"""Templates for `multiattn plugins new`, one module per kind: real code, linted and tested here."""
