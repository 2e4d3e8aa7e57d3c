"""Detectors, losses, data, and the one step that teaches a student. Knows nothing of train, analysis or app."""
