"""Builds what a run trains: networks and data, optimiser, moving average, memory estimate and teacher store."""
