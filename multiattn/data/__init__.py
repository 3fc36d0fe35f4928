"""From a corpus to padded batches."""
