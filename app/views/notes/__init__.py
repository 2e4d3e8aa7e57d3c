"""Notes on images and objects of a run, as the page lists and exports them."""
