"""What `multiattn plugins new` starts a plugin from, a module per kind: real code, checked here."""
