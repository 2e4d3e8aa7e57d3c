"""Parts that detectors are made of."""
