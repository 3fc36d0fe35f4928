"""Cannot be compiled."""

exec("def broken(:")
