"""Support for detectors of transformers: what the families have in common, and where they differ.

Importing it does not import transformers, which is an optional extra (`hf`).
"""
