"""The class Finding: one thing that a diagnosis says is wrong."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with a run, with its evidence and the setting to change."""

    # Its kind: frozen, unfound, imprecise, untrained, swapped, dominating, idle, shrunk, data; or of AP: nothing, class,
    # overtaken, stalled.
    disease: str
    title: str
    evidence: str
    setting: str  # what to change
