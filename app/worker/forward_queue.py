"""A queue of forward passes, which one thread computes one at a time.

The pass that was requested last comes first. A pass that no client waits for any more is not begun, or is left as soon as a
detector is done. When nothing has been requested for a while, background work goes on in small steps.
"""

import atexit
import traceback
from collections.abc import Callable, Collection, Generator, Hashable, Iterable, Iterator, Mapping, Sequence
from copy import copy
from threading import Condition, Thread
from time import monotonic
from typing import Any

from app.worker.cache import Cache
from core.distiller import OnDecoded
from core.types import Decoded

IDLE = 0.4  # seconds without a request before background work goes on
TIMEOUT = 600.0  # seconds after which `get` gives up

Compute = Callable[[OnDecoded], Any]


class Dropped(Exception):
    """Stops a pass that no client waits for any more."""


class Job:
    """One value that is to be computed, and what is known of it so far."""

    def __init__(self, key: Hashable, compute: Compute) -> None:
        self.key, self.compute = key, compute
        self.clients: set[Hashable] = set()  # that wait for it
        self.decoded: dict[str, Decoded] = {}  # by detector, of those that are done
        self.begun: float | None = None  # time.monotonic() of its start
        self.done = False
        self.value: Any = None
        self.error: Exception | None = None

    @property
    def stage(self) -> int:
        """The number of results so far: the detectors that are done, and the value itself."""
        return len(self.decoded) + self.done

    def result(self) -> Any:
        """The value; raises what its computation raised."""
        if self.error is not None:
            raise self.error
        return self.value


class ForwardQueue:
    """The jobs that clients wait for, the thread that computes them, and the cache of their values."""

    def __init__(self, cache: Cache) -> None:
        self.cache = cache
        self.condition = Condition()  # guards all that follows
        self.jobs: dict[Hashable, Job] = {}  # by key, the last requested last
        self.background: list[Generator] = []
        self.last_active = monotonic()  # the last request or end of a job
        self.thread: Thread | None = None
        self.closed = False

    def get(self, key: Hashable, compute: Compute) -> Any:
        """The value under a key, from the cache or computed now; raises what `compute` raises."""
        if (value := self.cache.get(key)) is not None:
            return value
        client = object()
        (job,) = self.request({key: compute}, client)
        self.wait([job], seconds=TIMEOUT)
        self.cancel(client)
        return job.result()

    def request(self, passes: Mapping[Any, Compute], client: Hashable) -> list[Job]:
        """The jobs of these values by key; from now on the client waits for them, and for no others."""
        with self.condition:
            jobs = [self.job(key, compute) for key, compute in passes.items()]
            for job in jobs:
                job.clients.add(client)
            self.remove_client(client, keep=passes.keys())
            self.last_active = monotonic()
            self.start()
            self.condition.notify_all()
        return jobs

    def job(self, key: Hashable, compute: Compute) -> Job:
        """The job of a key, moved to the front of the queue; it is done if the cache has its value."""
        job = self.jobs.pop(key, None) or Job(key, compute)
        if not job.done and (value := self.cache.get(key)) is not None:
            job.done, job.value = True, value
        if not job.done:
            self.jobs[key] = job
        return job

    def cancel(self, client: Hashable) -> None:
        """Ends the waiting of a client."""
        with self.condition:
            self.remove_client(client, keep=())

    def remove_client(self, client: Hashable, keep: Collection[Hashable]) -> None:
        """Takes a client off all jobs but those to keep, and drops jobs that have not begun and have no client left."""
        for key, job in list(self.jobs.items()):
            if key not in keep:
                job.clients.discard(client)
                if not job.clients and job.begun is None:
                    del self.jobs[key]

    def wait(self, jobs: Sequence[Job], *, seconds: float, beyond: int | None = None) -> list[Job]:
        """Waits until all jobs are done, or until the sum of their stages is above `beyond`, or until the time is over.

        Returns copies of the jobs as they then are, which stay so while the computation goes on.
        """

        def enough() -> bool:
            return all(job.done for job in jobs) or (beyond is not None and sum(job.stage for job in jobs) > beyond)

        with self.condition:
            self.condition.wait_for(enough, timeout=seconds)
            return [copy(job) for job in jobs]

    def add_background(self, steps: Generator) -> None:
        """Adds work that is done while nothing else is requested, one step of the generator at a time."""
        with self.condition:
            self.background.append(steps)
            self.start()
            self.condition.notify_all()

    def between(self, items: Iterable) -> Iterator:
        """The items, one after another; between two of them, jobs that were requested meanwhile are computed.

        For a job that takes long. Dropped: the queue was closed.
        """
        for item in items:
            yield item
            while not self.closed and (job := self.take_job()) is not None:
                self.run_job(job)
            if self.closed:
                raise Dropped

    def start(self) -> None:
        """Starts the thread, once."""
        if self.thread is None:
            self.thread = Thread(target=self.run, name="forward passes", daemon=True)
            self.thread.start()
            atexit.register(self.close)  # torch aborts a program that ends within a pass

    def close(self) -> None:
        """Ends the thread, and returns once its present step is over."""
        with self.condition:
            self.closed = True
            self.condition.notify_all()
        if self.thread is not None:
            self.thread.join()
        atexit.unregister(self.close)

    # In the thread ----------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Computes jobs and does background work until the queue is closed."""
        while not self.closed:
            with self.condition:
                job = self.next_job()
            if job is not None:
                self.run_job(job)
            elif not self.closed:
                self.run_background_step()

    def next_job(self) -> Job | None:
        """Waits for a job and takes it; None once it is time for background work, or the queue is closed."""
        while not self.closed:
            if (job := self.take_job()) is not None:
                return job
            idle = monotonic() - self.last_active - IDLE
            if self.background and idle >= 0:
                return None
            self.condition.wait(timeout=-idle if self.background else None)
        return None

    def take_job(self) -> Job | None:
        """The last requested of the jobs that have not begun, which begins now; None where there is none."""
        with self.condition:
            waiting = [job for job in self.jobs.values() if job.begun is None]
            if not waiting:
                return None
            waiting[-1].begun = monotonic()
            return waiting[-1]

    def run_job(self, job: Job) -> None:
        """Computes a job's value, and puts it into the cache."""

        def on_decoded(detector: str, decoded: Decoded) -> None:
            with self.condition:
                if self.closed or not job.clients:
                    raise Dropped
                job.decoded = job.decoded | {detector: decoded}  # a new one: copies of the job keep theirs
                self.condition.notify_all()

        try:
            job.value = job.compute(on_decoded)
            self.cache.put(job.key, job.value)
        except Exception as error:  # `result` raises it in the threads that wait
            job.error = error
        with self.condition:
            self.finish_job(job)

    def finish_job(self, job: Job) -> None:
        """Marks a job as done; a dropped job that a client has requested again meanwhile goes back into the queue."""
        self.last_active = monotonic()
        if isinstance(job.error, Dropped) and job.clients and not self.closed:
            job.begun, job.error, job.decoded = None, None, {}
            return
        job.done = True
        self.jobs.pop(job.key, None)
        self.condition.notify_all()

    def run_background_step(self) -> None:
        """Does one step of one background work, the next time of the next; an error is printed and ends that work."""
        with self.condition:
            self.background.append(self.background.pop(0))
        steps, end = self.background[-1], object()
        result = end
        try:
            result = next(steps, end)
        except Exception:
            traceback.print_exc()
        if result is end:
            with self.condition:
                self.background.remove(steps)
