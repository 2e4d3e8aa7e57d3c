"""Runs on disk: reading and writing detectors and cards, opening a run to replay it, its results and its diagnosis."""
