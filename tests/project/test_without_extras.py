"""What `pip install detrdistill` brings is enough to train, to measure and to look: no extra is imported."""

import re
import tomllib

from core.project import ROOT
from tests.helpers import blocked

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
WANTED = [name for names in PROJECT["optional-dependencies"].values() for name in names]
EXTRAS = {re.split(r"[\[><=~ ]", name)[0].replace("-", "_") for name in WANTED}


def start(*words, cwd):
    return blocked.start(*words, cwd=cwd, without=EXTRAS)


def test_fit_eval_and_app_need_no_extra(tmp_path):
    for words in (["train", "fit", "shapes"], ["train", "eval", "runs/shapes"]):
        with start(*words, cwd=tmp_path) as process:
            said = process.communicate(timeout=300)[0]
        assert process.returncode == 0, said
    with start("app", "runs/shapes", "--port", "0", cwd=tmp_path) as server:
        try:
            assert any("127.0.0.1" in line for line in server.stdout)
        finally:
            server.terminate()


def test_what_an_extra_is_for_says_so(tmp_path):
    with start("train", "fit", "shapes", "--student.backbone", "timm:tf_efficientnet_lite0", cwd=tmp_path) as process:
        said = process.communicate(timeout=300)[0]
    assert process.returncode == 2 and "timm extra" in said and "Traceback" not in said
