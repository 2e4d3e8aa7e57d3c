"""Forward passes: one at a time, in a thread of their own.

What was asked last comes first. A pass that nobody waits for any more is not begun, or is left as soon as a detector is
done. When nothing has been asked for a while, chores go on in small steps.
"""

import atexit
import traceback
from collections.abc import Callable, Generator, Hashable, Iterable, Iterator
from threading import Condition, Thread
from time import monotonic

from app.worker.memory import Memory
from core.distiller import Decoded, OnDecoded

CALM = 0.4  # seconds without a question before chores go on
PATIENCE = 600.0  # seconds after which an answer is given up


class Dropped(Exception):
    """Nobody waits for this pass any more."""


class Job:
    """One value that is being made, and what is known of it so far."""

    def __init__(self, key: Hashable, make: Callable[[OnDecoded], object]):
        self.key, self.make = key, make
        self.wanted: set[Hashable] = set()  # by whom
        self.decoded: dict[str, Decoded] = {}  # detectors that are done
        self.begun: float | None = None
        self.done, self.value, self.error = False, None, None

    @property
    def stage(self) -> int:
        """Grows with what is known."""
        return len(self.decoded) + self.done

    def result(self):
        if self.error is not None:
            raise self.error
        return self.value


class Desk:
    def __init__(self, memory: Memory):
        self.memory = memory
        self.turn = Condition()
        self.jobs: dict[Hashable, Job] = {}  # the latest asked last
        self.chores: list[Generator] = []
        self.asked = monotonic()
        self.thread: Thread | None = None
        self.closed = False

    def get(self, key: Hashable, make: Callable[[OnDecoded], object]):
        """The value under `key`, from memory or made now. What `make` raises passes through."""
        if (value := self.memory.get(key)) is not None:
            return value
        who = object()
        job = self.want({key: make}, who)[0]
        self.wait([job], seconds=PATIENCE)
        self.leave(who)
        return job.result()

    def want(self, wanted: dict[Hashable, Callable[[OnDecoded], object]], who: Hashable) -> list[Job]:
        """The jobs of these values, which are those that `who` waits for from now on, and no others."""
        with self.turn:
            found = [self.job(key, make) for key, make in wanted.items()]
            for job in found:
                job.wanted.add(who)
            self.forget(who, wanted.keys())
            self.asked = monotonic()
            self.employ()
            self.turn.notify_all()
        return found

    def job(self, key: Hashable, make: Callable[[OnDecoded], object]) -> Job:
        job = self.jobs.pop(key, None) or Job(key, make)
        if not job.done and (value := self.memory.get(key)) is not None:
            job.done, job.value = True, value
        if not job.done:
            self.jobs[key] = job
        return job

    def leave(self, who: Hashable) -> None:
        with self.turn:
            self.forget(who, ())

    def forget(self, who: Hashable, but) -> None:
        for key, job in list(self.jobs.items()):
            if key not in but:
                job.wanted.discard(who)
                if not job.wanted and job.begun is None:
                    del self.jobs[key]

    def wait(self, jobs: list[Job], *, seconds: float, beyond: int | None = None) -> None:
        """Until all are done, or, where `beyond` is given, until together they are past that stage."""

        def enough() -> bool:
            return all(job.done for job in jobs) or (beyond is not None and sum(job.stage for job in jobs) > beyond)

        with self.turn:
            self.turn.wait_for(enough, timeout=seconds)

    def chore(self, steps: Generator) -> None:
        """Goes on with `steps` in calm moments, one step at a time."""
        with self.turn:
            self.chores.append(steps)
            self.employ()
            self.turn.notify_all()

    def employ(self) -> None:
        if self.thread is None:
            self.thread = Thread(target=self.work, name="forward passes", daemon=True)
            self.thread.start()
            atexit.register(self.close)  # torch aborts a program that ends within a pass

    def close(self) -> None:
        """Ends the thread; whoever still waits is told. Comes back once the present step is over."""
        with self.turn:
            self.closed = True
            self.turn.notify_all()
        if self.thread is not None:
            self.thread.join()
        atexit.unregister(self.close)

    def work(self) -> None:
        while not self.closed:
            with self.turn:
                job = self.next()
            if job is not None:
                self.run(job)
            elif not self.closed:
                self.step()

    def next(self) -> Job | None:
        """The job asked last, or None once it is calm and there is a chore, or all is over."""
        while not self.closed:
            if (job := self.latest()) is not None:
                return job
            calm = monotonic() - self.asked - CALM
            if self.chores and calm >= 0:
                return None
            self.turn.wait(timeout=-calm if self.chores else None)
        return None

    def latest(self) -> Job | None:
        with self.turn:
            waiting = [job for job in self.jobs.values() if job.begun is None]
            if not waiting:
                return None
            waiting[-1].begun = monotonic()
            return waiting[-1]

    def between(self, things: Iterable) -> Iterator:
        """For a pass that goes through many things: after each of them, what was asked meanwhile is made."""
        for thing in things:
            yield thing
            while not self.closed and (job := self.latest()) is not None:
                self.run(job)
            if self.closed:
                raise Dropped

    def run(self, job: Job) -> None:
        def on_decoded(who: str, found: Decoded) -> None:
            with self.turn:
                if self.closed or not job.wanted:
                    raise Dropped
                job.decoded[who] = found
                self.turn.notify_all()

        try:
            job.value = job.make(on_decoded)
            self.memory.put(job.key, job.value)
        except Exception as error:  # whoever waits is told
            job.error = error
        with self.turn:
            self.finish(job)

    def finish(self, job: Job) -> None:
        self.asked = monotonic()
        if isinstance(job.error, Dropped) and job.wanted and not self.closed:  # by somebody who came just then
            job.begun, job.error, job.decoded = None, None, {}
            return
        job.done = True
        self.jobs.pop(job.key, None)
        self.turn.notify_all()

    def step(self) -> None:
        """One of the first chore's; one that fails is over, and says so where the program was started."""
        chore, over = self.chores[0], object()
        try:
            over = next(chore, over) is over
        except Exception:
            traceback.print_exc()
        if over is not False:
            with self.turn:
                self.chores.remove(chore)
