"""Each module in this folder is a format, and its file's name is its name: `export(detector, card, folder)`."""
