"""Ribbons of matches, as plain data: which query an object is matched with in each decoder layer, or after each epoch."""

import math


def cell(query: int, cost: float, margin: float, runner_up: int) -> dict:
    """One step of a ribbon. A query of -1 stands for none; a cost or margin that is not finite becomes None."""
    return {
        "query": query,
        "cost": cost if math.isfinite(cost) else None,
        "margin": margin if math.isfinite(margin) else None,
        "runner_up": runner_up,
    }
