"""Detectors, losses, data, and the training step of a student. Imports nothing from train, analysis or app."""
