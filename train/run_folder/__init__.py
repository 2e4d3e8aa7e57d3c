"""The folder of a run: card, log, checkpoints, recorded assignments and fault reports."""
