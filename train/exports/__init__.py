"""Export formats. Each module in this folder is one, by its file's name: `export(detector, card, folder) -> str`.

It writes into the folder and returns a sentence on how to use it, with {folder} in place of its name. Files that begin
with _ are helpers.
"""

from pathlib import Path

from core.drop_ins import DropIns

FILES = DropIns(Path(__file__).parent, __name__, "format", ("export",))
