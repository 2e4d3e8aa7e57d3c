"""The same weights in our detectors and in others', and what each makes of the same images."""
