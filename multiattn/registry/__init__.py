"""The plugin registry: records, hooks and the loader. It imports no torch."""
