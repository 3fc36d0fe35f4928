"""Read corpora and turn them into padded batches."""
