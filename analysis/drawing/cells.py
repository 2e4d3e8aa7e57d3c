"""Texts as cells of tables: those that a spreadsheet, LaTeX or Markdown would take for more than text are marked or escaped."""

from core.terminal import printable

FORMULA = ("=", "+", "-", "@", "\t", "\r")  # with these a cell begins that spreadsheets compute
TEX = {"\\": "\\textbackslash{}", "{": "\\{", "}": "\\}", "^": "\\textasciicircum{}", "~": "\\textasciitilde{}"}
TEX |= {character: f"\\{character}" for character in "&%_#$"}
TEX |= {"<": "\\textless{}", ">": "\\textgreater{}", "|": "\\textbar{}", "[": "{[}", "]": "{]}", "*": "{*}"}
TEX |= {"±": "$\\pm$", "−": "$-$", "–": "--", "✓": "\\checkmark{}", "γ": "$\\gamma$", "×": "$\\times$"}
LATIN = "\u0180"  # the first character that not every LaTeX engine has


def no_formula(value: object) -> object:
    """A value as a cell of a CSV file: a text that spreadsheets would compute gets an apostrophe before it."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) and not is_number(value) else value


def is_number(text: str) -> bool:
    """Returns whether a text is a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def escape_latex(text: str) -> str:
    """The text with LaTeX's special characters escaped, on one line.

    Characters of other scripts are written as their code for pdfTeX, which does not know them.
    """
    return "".join(TEX.get(c) or (c if c < LATIN else foreign(c)) for c in printable(text))


def foreign(character: str) -> str:
    """A character for the engines that know Unicode, and its code for the others."""
    return f"\\ifdefined\\Umathchar {character}\\else U+{ord(character):04X}\\fi{{}}"


def escape_markdown(text: str) -> str:
    """The text for a cell of a Markdown table: it ends no cell and opens no tag."""
    return printable(text).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")
