"""Background work on runs, such as surveys: that of the runs that were requested last goes on, the rest is stopped."""

from collections import OrderedDict
from collections.abc import Callable, Generator, Hashable
from typing import Protocol, TypeVar

from app.worker.forward_queue import ForwardQueue
from app.worker.samples import Samples


class BackgroundWork(Protocol):
    """Work on a run that is done step by step while nothing else is requested."""

    stopped: bool  # once it is True, no further step is done

    def steps(self) -> Generator:
        """Does the work, one step at a time."""


Work = TypeVar("Work", bound=BackgroundWork)


def requested(
    works: OrderedDict[Hashable, Work],
    samples: Samples,
    *,
    begin: Callable[[Samples], Work],
    most: int,
    queue: ForwardQueue,
) -> Work:
    """The work on a run, begun in the queue's background at the first request.

    `works` are those of all runs, by the version of their samples. Beyond `most` of them, those that were requested longest ago
    are stopped and dropped. The caller holds a lock.
    """
    if samples.version not in works:
        works[samples.version] = begin(samples)
        queue.add_background(works[samples.version].steps())
    works.move_to_end(samples.version)
    while len(works) > most:
        works.popitem(last=False)[1].stopped = True
    return works[samples.version]
