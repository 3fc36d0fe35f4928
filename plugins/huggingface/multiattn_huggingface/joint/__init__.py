"""A pretrained text model over the pieces of the target's tokenizer, which can be copied."""
