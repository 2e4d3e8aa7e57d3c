"""Training of detectors: recipes, the training loop, runs on disk, exports and studies. Run it with `python -m train`."""
