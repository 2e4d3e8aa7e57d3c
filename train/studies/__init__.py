"""The studies: experiments of several runs that end in a table. Each module in this folder is one, named by its file.

A study defines `main`, whose arguments are its flags. The module's docstring is its card, and the first line is listed by
`python -m train study --help`. Files that begin with _ are helpers.
"""

from pathlib import Path

from core.drop_ins import DropIns

FILES = DropIns(Path(__file__).parent, __name__, "study", ("main",))
