"""Short flags of `fit`: one word for what everybody sets, beside the long flag that it stands for."""

from core.errors import UserError
from train.run import Run

SHORT = {
    "data": "data.folder",
    "epochs": "optim.epochs",
    "batch": "optim.batch",
    "lr": "optim.lr",
    "queries": "student.queries",
}
SIZE = "size"  # stands for several long flags, see `size_flags`
SIZE_HELP = "Size of images: the side of generated shapes, or the short side of photos; the longest side in proportion."
# The long flag, or the help, of each short flag.
HELP = SHORT | {SIZE: SIZE_HELP}
PHOTOS = ("--data", "--data.folder", "--data.train", "--data.kind")  # flags with which images are not generated
# What other programs call these flags: used only to suggest the right one.
ELSEWHERE = {
    "imgsz": "size", "img-size": "size", "image-size": "size", "input-size": "size", "resolution": "size",
    "batch-size": "batch", "bs": "batch", "learning-rate": "lr", "num-epochs": "epochs", "max-epochs": "epochs",
    "num-queries": "queries", "num-workers": "workers", "gpu": "device", "gpus": "device", "dataset": "data",
    "weights": "init", "pretrained": "init", "resume-from": "init", "project": "out",
}  # fmt: skip


def expanded(arguments: list[str], start: Run) -> list[str]:
    """The flags with long ones for short ones. --data also sets the kind of data.

    UserError: a short flag has no value, or the name is that of another program.
    """
    words: list[str] = []
    generated = start.data.kind == "shapes" and not any(word.split("=")[0] in PHOTOS for word in arguments)
    for word in joined(arguments):
        name, _, value = word.removeprefix("--").partition("=")
        if word.startswith("--") and name in ELSEWHERE:
            raise UserError(f"no flag --{name}; perhaps you meant --{ELSEWHERE[name]}")
        if word in (f"--{name}" for name in (*SHORT, SIZE)):
            raise UserError(f"{word} needs a value")
        if word.startswith(f"--{SIZE}="):
            words += [f"--data.size={value}"] if generated else size_flags(value, start)
        elif word.startswith("--") and name in SHORT:
            words.append(f"--{SHORT[name]}={value}")
            words += ["--data.kind=coco"] if name == "data" and start.data.kind != "coco" else []
        else:
            words.append(word)
    return words


def joined(arguments: list[str]) -> list[str]:
    """The words, in which a short flag and its value are one, as in --size=640."""
    words = list(arguments)
    for k in range(len(words) - 2, -1, -1):
        if words[k].removeprefix("--") in (*SHORT, SIZE) and words[k].startswith("--") and words[k + 1][:2] != "--":
            words[k : k + 2] = [f"{words[k]}={words[k + 1]}"]
    return words


def size_flags(value: str, start: Run) -> list[str]:
    """The long flags of --size for photos: the short side, and the longest in the proportion of the recipe's.

    UserError: it is no number of pixels.
    """
    if not value.isdecimal() or not int(value):
        raise UserError(f"--{SIZE} is {value}; give a number of pixels")
    augment, longest = start.data.augment, int(value)
    if not augment.square:
        longest = round(longest * augment.longest / max(augment.sizes, default=800))
    return ["--data.augment.sizes", value, f"--data.augment.longest={longest}"]
