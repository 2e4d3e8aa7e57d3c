"""Several processes that train one run, as torchrun starts them."""
