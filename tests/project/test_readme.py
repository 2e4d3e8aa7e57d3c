"""Every command of the README and of docs/ but `make test` runs, the long ones in their short form."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest

from core.project import ROOT
from tests.helpers import hub, processes
from tests.helpers.coco_folder import write_folder

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCKS = {page: re.findall(r"```sh\n(.*?)```", page.read_text(), re.DOTALL) for page in PAGES}
COMMANDS = {  # lines that are comments are none
    page: [command for b in blocks for line in b.splitlines() if (command := line.split("#")[0].strip())]
    for page, blocks in BLOCKS.items()
}
README = COMMANDS[PAGES[0]]
ALL = list(
    dict.fromkeys(command for commands in COMMANDS.values() for command in commands)
)  # a later page repeats none


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An empty folder but for what the pages name: a small data set, and a large and a small detector of transformers.

    The images of the data set are split between two files.
    """
    path = tmp_path_factory.mktemp("user")
    (path / "assets").symlink_to(ROOT / "assets")  # as in the project's folder, from which the pages start
    for name, layers in (("large", 3), ("small", 2)):
        hub.save_folder(path / name, "rt_detr_v2", layers=layers)
    whole = json.loads(write_folder(path / "my").read_text())
    shutil.copytree(path / "my" / "images", path / "my" / "photos")
    half = len(whole["images"]) // 2
    for name, images in (("train.json", whole["images"][half:]), ("val.json", whole["images"][:half])):
        ids = {image["id"] for image in images}
        annotations = [a for a in whole["annotations"] if a["image_id"] in ids]
        (path / "my" / name).write_text(json.dumps(whole | {"images": images, "annotations": annotations}))
    return path


def test_the_readme_has_the_commands_that_it_promises():
    assert README[:2] == ["make demo", "make test"]
    assert [c.split()[2] for c in README[2:6]] == ["train", "train", "train", "app"] and len(README) == 6
    assert len(ALL) >= 12


def test_the_readme_is_short_and_leads_to_every_page():
    text = PAGES[0].read_text()
    assert len(text.split()) <= 900
    assert all(f"(docs/{page.name})" in text for page in PAGES[1:] if page.name != "index.md")


def test_links_of_the_pages_lead_somewhere():
    for page in [*PAGES, *ROOT.glob("*.md")]:
        prose = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
        for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", prose):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), f"{page.name}: {target}"


# These start cold, as those of a user; the others are forked from a process that has imported torch.
COLD = [next(c for c in ALL if words in c) for words in ("make demo", "train fit", "analysis report")]


@pytest.mark.parametrize("command", [c for c in ALL if c != "make test"])
def test_a_command_of_the_readme_or_a_page_runs(command, folder, tmp_path):
    environment = os.environ | {"QUICK": "1", "SERVE": "0", "OMP_NUM_THREADS": "1"}
    words = command.split()
    if words[0] == "make":  # the environment is there already: it runs this test
        shutil.copy(ROOT / "Makefile", folder)
        words = ["make", "-o", "env", f"PY={sys.executable}", *words[1:]]
    else:
        words[0] = sys.executable
    if "app" in words:
        return serves(words, folder, environment)
    log = tmp_path / "said.txt"
    if command in COLD:
        with open(log, "wb") as out:
            code = subprocess.run(words, cwd=folder, env=environment, stdout=out, stderr=out, timeout=300).returncode
    else:
        code = processes.run_program(words[2:], folder, environment, log)
    fine = (
        (0, 1) if "check" in words else (0,)
    )  # check exits with 1 where it finds faults, as it does in this small set
    said = log.read_text()
    assert code in fine, said[-6000:]
    if words[0] == "make":
        assert (folder / "runs/demo/summary.json").exists()
        assert "student distilled" in said


def serves(words, folder, environment):
    """Starts, says where, and stops."""
    words = [*words, "--port", "0"]
    with subprocess.Popen(words, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True) as server:
        try:
            said = next(line for line in server.stdout if "127.0.0.1" in line)
        finally:
            server.terminate()
    assert re.search(r"http://127\.0\.0\.1:\d+", said)
