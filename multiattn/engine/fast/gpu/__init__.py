"""Training on an NVIDIA GPU: padded batches, CUDA graphs, and the default loop in Triton."""
