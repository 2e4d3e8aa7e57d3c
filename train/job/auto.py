"""Takes the number of queries and the size of images from the data, where those of a run are too small for it."""

from dataclasses import replace

from core.data.coco.dataset import Coco
from core.data.coco.limits import Objects, run_settings, suggested_queries, suggested_size, tiny_shares
from core.data.transforms import Augment
from core.runs.config import encode
from train.job.build import starting_point
from train.job.images import dataset
from train.run import Run


def fitted_to_data(run: Run) -> Run:
    """The run with at least as many queries as its training images need, and a size at which their objects are not tiny.

    The sizes of the augmentation are all enlarged by one factor. A detector that `init` names keeps its own number of queries
    where that is enough. Generated images are left as they are.
    """
    if run.data.kind == "shapes":
        return run
    train = dataset(run.data, "train")
    assert isinstance(train, Coco), "images that are not generated are in COCO format"
    objects, start = Objects(train.instances), starting_point(run)
    student = start.detector.config if start else run.student
    if objects.counts.max(initial=0) > student.queries:
        queries = suggested_queries(objects)
        changes = {"init_queries": queries} if start else {"student": replace(run.student, queries=queries)}
        run = replace(run, **changes)
    settings = run_settings(encode(replace(run, student=student)))
    if tiny_shares(objects, settings):
        run = replace(
            run, data=replace(run.data, augment=enlarged(run.data.augment, *suggested_size(objects, settings)))
        )
    return run


def enlarged(augment: Augment, short: int, longest: int) -> Augment:
    """The augmentation whose short side (side of squares) in evaluation is `short`; its other sizes grow by the same factor."""
    old, factor = augment.sizes or (short,), short / (augment.eval_short or short)
    sizes = tuple(round(size * factor) for size in old)
    longest = max(longest, *sizes) if augment.square else longest  # which limits the side of squares
    return replace(augment, sizes=sizes, eval_size=augment.eval_size and short, longest=longest)
