"""Detectors that others trained, as ours: `read` what they wrote, `recognise` what it is, name its `classes`."""
