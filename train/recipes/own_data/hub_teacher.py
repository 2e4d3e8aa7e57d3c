"""A large detector of transformers on your own photos, as the teacher of `hub_distill`.

Paper      that of the detector; settings are those of `hub`
Command    python -m train fit hub_teacher --init FOLDER --data.train TRAIN.json --data.val VAL.json --data.images FOLDER
Hardware   a GPU
Time       depends on the detector
Expect     depends on the data
"""

from dataclasses import replace

from train.recipes.own_data import hub
from train.run import Run


def run() -> Run:
    """`hub` under another name; --init FOLDER names the large detector."""
    return replace(hub.run(), name="hub_teacher")
