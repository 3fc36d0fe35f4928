"""What can be plugged in: records, hooks, the loader. No torch."""
