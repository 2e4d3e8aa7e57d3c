"""Many users of one app at once: each gets the answers to its own questions, and nothing piles up."""

import json
import random
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from pathlib import Path

import numpy as np
import pytest
from gradio_client import Client, handle_file
from PIL import Image

from analysis.bench._random_runs import random_run
from analysis.bench.app import served
from tests.helpers import opened

LAYERS, QUERIES, IMAGES = 2, 12, 3
PATHS = ("detection/class", "features/stride8", "logits/positive_l1")


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> list[Path]:
    sizes = dict(queries=QUERIES, layers=LAYERS, size=64, images=IMAGES)
    return [random_run(tmp_path_factory.mktemp(name), seed=seed, **sizes) for seed, name in ((0, "one"), (5, "two"))]


def questions(run: Path) -> list[tuple[str, dict]]:
    """Of one run: every kind of view of every image."""
    found = [("about", {})]
    for key in (f"image/{k + 1}" for k in range(IMAGES)):
        found += [("image", {"key": key}), ("scene", {"key": key}), ("losses", {"key": key})]
        found += [("matches", {"key": key, "layer": layer}) for layer in range(LAYERS)]
        found += [
            (name, {"key": key, "layer": 1, "side": side, "index": 3})
            for name in ("query", "reading")
            for side in ("student", "teacher")
        ]
        found += [("masks", {"key": key, "level": 1}), ("mask", {"key": key, "queries": [2, 5]})]
        found += [("weighed", {"key": key, "gamma": gamma}) for gamma in (0.0, 0.3, 1.0)]
        found += [("term", {"key": key, "path": path}) for path in PATHS]
    return [(name, asked | {"run": str(run)}) for name, asked in found]


def plain(answer):
    return json.loads(json.dumps(answer))


def resident(pid: int) -> int:
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1])


def child() -> int:
    """The process that this thread started last."""
    return int(Path(f"/proc/self/task/{threading.get_native_id()}/children").read_text().split()[-1])


@pytest.mark.parametrize(
    "clients, requests, warm", [(4, 40, None), pytest.param(20, 1000, 400, marks=pytest.mark.slow)]
)
def test_many_users_at_once(folders, tmp_path, clients, requests, warm):
    handlers = opened.handlers(*folders)
    every = [q for folder in folders for q in questions(folder)]
    mixed = random.Random(0).choices(every, k=requests)
    expected = {json.dumps(q): plain(getattr(handlers, q[0])(**q[1])) for q in mixed}
    Image.fromarray(np.full((40, 50, 3), 99, dtype=np.uint8)).save(tmp_path / "grey.png")
    (tmp_path / "temporary").mkdir()
    with served(folders[0], "--compare", str(folders[1]), environment={"TMPDIR": str(tmp_path / "temporary")}) as url:
        server, users = child(), [Client(url, verbose=False) for _ in range(clients)]

        def ask(user: Client, place: int) -> None:
            name, asked = mixed[place]
            if place % 25 == 0:
                key = user.predict(handle_file(tmp_path / "grey.png"), 0.5, api_name="/upload")
                assert user.predict(key, api_name="/image")["width"] == 50
            assert user.predict(**asked, api_name=f"/{name}") == expected[json.dumps(mixed[place])], (name, asked)

        def visit(who: int, places: range) -> None:
            """One question after another: of a client that asks two at once, gradio_client may drop an answer."""
            for place in places[who::clients]:
                ask(users[who], place)

        with ThreadPoolExecutor(clients) as pool:
            list(pool.map(visit, range(clients), repeat(range(warm or requests))))
            before = resident(server)
            list(pool.map(visit, range(clients), repeat(range(warm or requests, requests))))
        after, left = resident(server), [f for f in (tmp_path / "temporary").rglob("*") if f.is_file()]
        for user in users:
            user.close()
    assert warm is None or after < 1.05 * before, f"{before} kB after {warm} requests, {after} kB after {requests}"
    assert sum(f.stat().st_size for f in left) < 1 << 20, left
