"""Takes the number of queries and the size of images from the data, where those of a run are too small for it."""

from dataclasses import replace

from core.data.coco.dataset import Coco
from core.data.coco.limits import Objects, run_settings, suggested_queries, suggested_size, tiny_shares
from core.runs.config import encode
from train.job.images import dataset
from train.run import Run


def fitted_to_data(run: Run) -> Run:
    """The run with at least as many queries as its training images need, and a size at which their objects are not tiny.

    The sizes of the augmentation are all enlarged by one factor. Generated images are left as they are.
    """
    train = dataset(run.data, "train")
    if not isinstance(train, Coco):
        return run
    objects, settings = Objects(train.instances), run_settings(encode(run))
    if objects.counts.max(initial=0) > run.student.queries:
        run = replace(run, student=replace(run.student, queries=suggested_queries(objects)))
    if tiny_shares(objects, settings):
        short, longest = suggested_size(objects, settings)
        old = run.data.augment.sizes or (short,)
        sizes = tuple(round(size * short / max(old)) for size in old)
        run = replace(run, data=replace(run.data, augment=replace(run.data.augment, sizes=sizes, longest=longest)))
    return run
