"""Meta tensors, by which the memory of training is estimated, and settings of the memory allocator."""
