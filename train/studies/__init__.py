"""Experiments of several runs that end in a table, one file each: `main(folder)`, and the docstring is the card."""
