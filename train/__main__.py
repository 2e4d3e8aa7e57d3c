"""python -m train: what it can do, without torch until it does it.

usage: python -m train VERB ...

  list                      the recipes, with the AP to expect, the time and the paper
  fit RECIPE [FLAGS]        train; --help after a recipe shows its flags, --card FILE repeats a run
  resume RUN                go on with a run that was stopped
  eval RUN_OR_CHECKPOINT    average precision; [--data JSON --images FOLDER]
  doctor RUN                what each loss does to the student, and the setting to change; exits with 1 if there is one
  check ANNOTATIONS.json    what is wrong with a COCO file and its images, before training finds out
  study NAME                several runs, then a table
  import FILE_OR_FOLDER     weights of others as a run: --out RUN; [--classes JSON]
  export RUN                the student for elsewhere: --to safetensors|hf|onnx --out FOLDER
"""

import ast
import os
import re
import sys
from pathlib import Path

from core.config import meant
from core.errors import UserError

HERE = Path(__file__).parent
VERBS = ("list", "fit", "resume", "eval", "doctor", "check", "study", "import", "export")


def main(words: list[str]) -> int:
    """The exit code: 0, 1 for a loss that is not finite, or for faulty data, runs or machines, 2 for a user's mistake,
    128 + n for signal n.
    """
    try:
        code = run(words) or 0
        sys.stdout.flush()
        return code
    except UserError as error:
        if speaks():
            print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # whoever read the output, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def run(words: list[str]) -> int | None:
    verb, rest = (words[0], words[1:]) if words else ("--help", [])
    if verb in ("--help", "-h"):
        return print(__doc__.partition("\n\n")[2], end="")
    check("verb", verb, VERBS)
    if verb == "list":
        return print("\n".join([*cards(), "start with: python -m train fit shapes"]))
    if verb == "check":
        from train.check import main as check_data

        return check_data(rest)
    if not rest or rest[0] in ("--help", "-h"):
        return print(usage(verb))
    return start(verb, rest)


def usage(verb: str) -> str:
    line = next(line for line in __doc__.splitlines() if line.split()[:1] == [verb])
    folder = {"fit": "recipes", "study": "studies"}.get(verb)
    return "\n".join([f"usage: python -m train {line.strip()}", *(described(folder) if folder else [])])


def start(verb: str, rest: list[str]) -> int:
    """Names are checked before torch is imported."""
    first, arguments = rest[0], rest[1:]
    if verb == "fit":
        card, arguments = take_card(rest)
        recipe = arguments.pop(0) if arguments and not arguments[0].startswith("-") else None
        if recipe or not card:
            check("recipe", recipe or first, names("recipes"))
    if verb == "study":
        check("study", first, names("studies"))
    if verb in ("resume", "eval", "doctor", "export") and not Path(first).exists():
        raise UserError(f"{first}: no such run")
    if "RANK" in os.environ:  # torch warns of a look for unused weights that found none
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    from train import verbs
    from train.faults import Failed, NotFinite
    from train.interrupt import Stopped
    from train.parallel import Lost

    try:
        match verb:
            case "fit":
                verbs.fit(recipe, card, arguments)
            case "resume":
                verbs.resume(Path(first), arguments)
            case "eval":
                verbs.evaluate(Path(first), arguments)
            case "doctor":
                return verbs.doctor(Path(first), arguments)
            case "study":
                verbs.study(first, arguments)
            case "import":
                verbs.bring(Path(first), arguments)
            case "export":
                verbs.export(Path(first), arguments, names("exports"))
    except (Stopped, NotFinite, Failed, Lost) as error:
        if speaks() or isinstance(error, Lost):
            print(error, file=sys.stderr)
        return getattr(error, "code", 1)
    return 0


def speaks() -> bool:
    """Of several processes, as torchrun starts them, one speaks."""
    return os.environ.get("RANK", "0") == "0"


def take_card(words: list[str]) -> tuple[Path | None, list[str]]:
    """--card FILE, and the other words."""
    if "--card" not in words:
        return None, list(words)
    at = words.index("--card")
    if at + 1 == len(words):
        raise UserError("--card needs a file: the card.json of a run")
    return Path(words[at + 1]), words[:at] + words[at + 2 :]


def names(folder: str) -> list[str]:
    return sorted(p.stem for p in (HERE / folder).glob("*.py") if p.stem != "__init__")


def described(folder: str) -> list[str]:
    wide = max(map(len, names(folder)))
    return [f"  {name:<{wide}}  {docstring(folder, name).splitlines()[0]}" for name in names(folder)]


def cards() -> list[str]:
    """Each recipe, and under it what its docstring says of the AP to expect, the time and the paper."""
    found = []
    for name, line in zip(names("recipes"), described("recipes")):
        told = {title: field(docstring("recipes", name), title) for title in ("Expect", "Time", "Paper")}
        found += [line, "    " + " | ".join(f"{title.lower()}: {text}" for title, text in told.items())]
    return found


def field(card: str, title: str) -> str:
    """Its text, whose further lines are indented."""
    return " ".join(re.search(rf"^{title} +(.+(?:\n .+)*)", card, re.MULTILINE)[1].split())


def docstring(folder: str, name: str) -> str:
    text = (HERE / folder / f"{name}.py").read_text(encoding="utf-8")
    return ast.get_docstring(ast.parse(text)) or ""


def check(kind: str, word: str, known) -> None:
    if word not in known:
        raise UserError(f"no {kind} {word!r}{meant(word, known)}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
