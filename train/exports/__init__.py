"""Export formats. Each module in this folder is one, by its file's name: `export(detector, card, folder) -> str`.

It writes into the folder and returns what to do with it, in words. Files that begin with _ are helpers.
"""

from pathlib import Path

from core.drop_ins import DropIns

FILES = DropIns(Path(__file__).parent, __name__, "format", ("export",))
