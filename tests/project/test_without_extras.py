"""What `pip install detrdistill` brings is enough to train, to measure and to look: no extra is imported."""

import re
import tomllib

from core.project import ROOT
from tests.helpers import blocked, in_turn

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
WANTED = [name for names in PROJECT["optional-dependencies"].values() for name in names]
EXTRAS = {re.split(r"[\[><=~ ]", name)[0].replace("-", "_") for name in WANTED}


COMMANDS = (
    "train fit shapes --student.backbone timm:tf_efficientnet_lite0",
    "train fit shapes",
    "train eval runs/shapes",
    "app runs/shapes --port 0",
)


def test_fit_eval_and_app_need_no_extra_and_what_one_is_for_says_so(tmp_path):
    """All in one process, the last of which serves until it is stopped."""
    said = ""
    with blocked.start(*map(str.split, COMMANDS), cwd=tmp_path, without=EXTRAS) as process:
        try:
            for line in process.stdout:
                said += line
                if "127.0.0.1" in line:
                    break
        finally:
            process.terminate()
    (code, of_timm), *ended = in_turn.ends(said)
    assert code == 2 and "timm extra" in of_timm and "Traceback" not in of_timm
    assert [code for code, _ in ended] == [0, 0] and "127.0.0.1" in said.splitlines()[-1], said
