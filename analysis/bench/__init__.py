"""Each module in this folder is one benchmark, and its file's name is its name: `run()` -> (rows, aims)."""

import pkgutil
from dataclasses import asdict, dataclass
from importlib import import_module


@dataclass(frozen=True)
class Aim:
    aim: str
    value: float
    met: bool


def names() -> list[str]:
    return sorted(m.name for m in pkgutil.iter_modules(__path__))


def run(name: str) -> dict:
    """{"name", "rows": [{"case", ...}], "aims": [{"aim", "value", "met"}]}."""
    rows, aims = import_module(f"{__name__}.{name}").run()
    return {"name": name, "rows": rows, "aims": [asdict(a) for a in aims]}
