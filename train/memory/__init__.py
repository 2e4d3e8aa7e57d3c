"""Counts and keeps memory: operations on tensors without numbers, and the memory that was freed."""
