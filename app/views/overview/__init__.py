"""The overview: what a run, its teacher and a second run reached, and why, from what they recorded and from their images."""
