"""Processes as torchrun or a shell starts them, but forked from one that has imported torch already."""

import multiprocessing
import os
import runpy
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from train.distributed import parallel

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    ["tests.helpers.processes", "tests.helpers.runs", "train.engine.loop", "pyarrow.parquet"]
)


def start(work, *arguments, size: int = 2, into: Path) -> list[str]:
    """What `work(*arguments)` gave in each process, as text, or what it raised."""
    port = free_port()
    into.mkdir(parents=True, exist_ok=True)
    children = [CONTEXT.Process(target=one, args=(work, arguments, k, size, port, into)) for k in range(size)]
    for child in children:
        child.start()
    for child in children:
        child.join(240)
        assert child.exitcode is not None, "a process hangs"
    files = [into / f"{k}.txt" for k in range(size)]
    return [file.read_text() if file.exists() else f"exit {c.exitcode}" for file, c in zip(files, children)]


def run_program(words: Sequence[str], cwd: Path, environment: Mapping[str, str], log: Path) -> int:
    """The exit code of `python -m WORDS`; what it prints is written to the file `log`."""
    child = CONTEXT.Process(target=become_program, args=(list(words), cwd, dict(environment), log))
    child.start()
    child.join(300)
    assert child.exitcode is not None, f"{' '.join(words)} hangs"
    return child.exitcode


def become_program(words: list[str], cwd: Path, environment: dict[str, str], log: Path) -> None:
    os.chdir(cwd)
    os.environ.clear()
    os.environ |= environment
    torch.set_num_threads(1)
    with open(log, "wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.argv = words
    runpy.run_module(words[0], run_name="__main__", alter_sys=True)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def one(work, arguments, rank: int, size: int, port: int, into: Path) -> None:
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(size), "LOCAL_RANK": str(rank)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    try:
        with parallel.process_group(cuda=False):
            said = str(work(*arguments))
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
    (into / f"{rank}.txt").write_text(said)
