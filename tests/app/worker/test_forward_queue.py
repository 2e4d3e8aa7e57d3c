"""One forward pass at a time, the latest asked first, and none that nobody waits for."""

import threading
import time

import pytest
import torch

from app.worker import forward_queue
from app.worker.cache import Cache, tensor_bytes
from app.worker.forward_queue import ForwardQueue
from core.errors import UserError


@pytest.fixture
def quiet(monkeypatch) -> ForwardQueue:
    """A queue that begins background work soon."""
    monkeypatch.setattr(forward_queue, "IDLE", 0.02)
    return ForwardQueue(Cache(1 << 20))


class Gate:
    """A pass that says when it began and waits until it may go on."""

    def __init__(self, name: str, log: list):
        self.name, self.log, self.begun, self.go = name, log, threading.Event(), threading.Event()

    def __call__(self, on_decoded):
        self.begun.set()
        self.log.append(self.name)
        assert self.go.wait(10)
        on_decoded("teacher", self.name)
        return self.name


def test_a_value_is_made_once_and_an_error_reaches_whoever_asked(quiet):
    made = []
    for _ in range(3):
        assert quiet.get("a", lambda on_decoded: made.append(1) or "value") == "value"
    assert made == [1]

    def fails(on_decoded):
        raise UserError("no such thing")

    for _ in range(2):
        with pytest.raises(UserError, match="no such thing"):
            quiet.get("b", fails)
    assert quiet.jobs == {}


def test_the_latest_question_comes_first_and_what_nobody_waits_for_is_not_begun(quiet):
    log: list[str] = []
    gates = {name: Gate(name, log) for name in "abcd"}
    first = quiet.request({"a": gates["a"]}, "one page")
    assert gates["a"].begun.wait(10)
    quiet.request({"b": gates["b"]}, "another page")
    quiet.request({"c": gates["c"]}, "a third page")
    quiet.request({"d": gates["d"]}, "another page")  # which no longer waits for b
    for gate in gates.values():
        gate.go.set()
    quiet.wait(
        first + quiet.request({"c": gates["c"]}, "end") + quiet.request({"d": gates["d"]}, "end too"), seconds=10
    )
    assert log == ["a", "d", "c"] and quiet.jobs == {}


def test_a_pass_that_all_have_left_stops_when_a_detector_is_done(quiet):
    log: list[str] = []
    gate = Gate("a", log)
    (job,) = quiet.request({"a": gate}, "page")
    assert gate.begun.wait(10)
    quiet.request({}, "page")
    gate.go.set()
    quiet.wait([job], seconds=10)
    assert isinstance(job.error, forward_queue.Dropped) and quiet.cache.get("a") is None
    assert quiet.get("a", lambda on_decoded: "anew") == "anew"


def test_parts_are_known_before_the_whole(quiet):
    gate = Gate("a", [])
    (job,) = quiet.request({"a": gate}, "page")
    quiet.wait([job], seconds=0.05, beyond=0)
    assert job.stage == 0 and not job.done
    gate.go.set()
    quiet.wait([job], seconds=10)
    assert job.stage == 2 and job.result() == "a" and job.decoded == {"teacher": "a"}


def test_what_was_known_stays_as_it_was_while_the_pass_goes_on(quiet):
    """A thread that reads the detectors so far must not meet another thread that adds one."""
    gates = {"teacher": threading.Event(), "student": threading.Event()}

    def both(on_decoded):
        for detector, gate in gates.items():
            assert gate.wait(10)
            on_decoded(detector, detector)
        return "whole"

    (job,) = quiet.request({"a": both}, "page")
    gates["teacher"].set()
    (early,) = quiet.wait([job], seconds=10, beyond=0)
    detectors = iter(early.decoded.items())
    gates["student"].set()
    quiet.wait([job], seconds=10)
    assert list(detectors) == [("teacher", "teacher")] and early.stage == 1 and not early.done
    assert job.stage == 3 and job.result() == "whole"


def test_background_work_goes_on_when_nothing_is_requested_and_one_that_fails_is_over(quiet, capsys):
    done = []

    def background(name, count):
        for k in range(count):
            done.append((name, k))
            yield
        raise ZeroDivisionError(name)

    quiet.add_background(background("a", 2))
    quiet.add_background(background("b", 1))
    until = time.monotonic() + 10
    while quiet.background and time.monotonic() < until:
        time.sleep(0.01)
    assert done == [("a", 0), ("b", 0), ("a", 1)] and "ZeroDivisionError: b" in capsys.readouterr().err
    assert quiet.get("x", lambda on_decoded: "alive") == "alive"


def test_between_the_things_of_a_long_pass_what_was_asked_meanwhile_is_made(quiet):
    went, first = [], threading.Event()

    def long(on_decoded):
        for k in quiet.between(range(3)):
            went.append(k)
            first.set()
            while k == 0 and len(quiet.jobs) < 2:  # until another asks
                time.sleep(0.001)
        return "long"

    (job,) = quiet.request({"long": long}, "diagnosis")
    assert first.wait(10)
    assert quiet.get("short", lambda on_decoded: went.append("short") or "short") == "short"
    quiet.wait([job], seconds=10)
    assert job.result() == "long" and went == [0, "short", 1, 2]


def test_a_long_pass_ends_with_the_queue(quiet):
    begun = threading.Event()

    def long(on_decoded):
        for _ in quiet.between(iter(int, 1)):  # without end
            begun.set()

    (job,) = quiet.request({"long": long}, "diagnosis")
    assert begun.wait(10)
    quiet.close()
    assert job.done and not quiet.thread.is_alive()


def test_many_pages_at_once_get_what_they_asked_for(quiet):
    def visit(page: int, found: list):
        for k in range(20):
            key = (page * 7 + k * 3) % 11
            found.append(quiet.get(key, lambda on_decoded, key=key: f"value of {key}") == f"value of {key}")

    found: list[bool] = []
    pages = [threading.Thread(target=visit, args=(p, found)) for p in range(20)]
    for page in pages:
        page.start()
    for page in pages:
        page.join()
    assert len(found) == 400 and all(found) and quiet.jobs == {}


def test_the_cache_holds_the_latest_within_its_budget():
    cache = Cache(100)
    for key, count in (("a", 40), ("b", 40)):
        cache.put(key, torch.zeros(count, dtype=torch.uint8))
    assert cache.get("a") is not None
    cache.put("c", torch.zeros(40, dtype=torch.uint8))
    assert list(cache.values) == ["a", "c"] and cache.get("b") is None
    cache.put("huge", torch.zeros(1000, dtype=torch.uint8))
    assert list(cache.values) == ["huge"] == list(cache.sizes)


def test_size_counts_every_tensor_wherever_it_is():
    x = torch.zeros(3, dtype=torch.float32)
    assert tensor_bytes({"a": [x, (x, None)], "b": "text"}) == 24


def test_works_in_the_background_take_turns(quiet):
    """So the second of two surveys has results long before the first is done."""
    steps, done = [], threading.Event()

    def work(name: str, count: int):
        for k in range(count):
            steps.append((name, k))
            yield
        if len(steps) == 9:
            done.set()

    for name, count in (("a", 4), ("b", 4), ("c", 1)):
        quiet.background.append(work(name, count))
    quiet.start()
    assert done.wait(10)
    quiet.close()
    for name, count in (("a", 4), ("b", 4)):
        assert [k for other, k in steps if other == name] == list(range(count))
    assert {steps.index((name, 0)) for name in "abc"} == {0, 1, 2}
    assert max(steps.index(("a", 2)), steps.index(("b", 2))) < min(steps.index(("a", 3)), steps.index(("b", 3)))
