"""Studies: experiments of several runs that end in a table. Each module in this folder is one, by its file's name.

A study defines `main`, whose arguments are its flags; its docstring is its card. Files that begin with _ are helpers.
"""

from pathlib import Path

from core.drop_ins import DropIns

FILES = DropIns(Path(__file__).parent, __name__, "study", ("main",))
