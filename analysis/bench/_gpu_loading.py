"""Images a second of the loader with several numbers of workers, and of the decoders of JPEG files, on the CPU and on a GPU."""

import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import torch
from torchvision.io import decode_jpeg

from analysis.bench._gpu_place import Call, Place, by_host, measured
from analysis.bench._random_runs import write_photos
from core.data.coco.dataset import Coco, read_image
from core.data.loader import Loader
from core.data.transforms import Augment


@dataclass(frozen=True)
class LoadingSize:
    """The photos that are read, and by how many workers."""

    photos: int
    height: int
    width: int
    sizes: tuple[int, ...]  # short sides to which images are resized
    workers: tuple[int, ...]
    batch: int


def rows(place: Place, size: LoadingSize) -> Iterator[dict]:
    """A row for each decoder, short side and number of workers; workers beyond the cores are left out."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "photos"
        write_photos(path, size.photos, size.height, size.width)
        yield from decoders(place, sorted((path / "images").iterdir()))
        photos = Coco(path / "instances.json", path / "images")
        for side in size.sizes:
            for workers in size.workers:
                if workers <= (os.cpu_count() or 1):
                    rate = images_a_second(photos, side, workers, size.batch, pin=place.device.type == "cuda")
                    yield {"case": f"loader, short side {side}, {workers} workers", "images_s": round(rate, 2)}


def decoders(place: Place, files: list[Path]) -> Iterator[dict]:
    """A row of the loader's decoder and of torchvision's on the CPU, and on a GPU one of nvJPEG."""
    data = [torch.frombuffer(bytearray(file.read_bytes()), dtype=torch.uint8) for file in files]
    host = Place(torch.device("cpu"), by_host, place.times, 1)
    yield decoding("by the loader", host, lambda: [read_image(file) for file in files], len(files))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torchvision's decoders are to move to another package
        yield decoding("by torchvision on the CPU", host, lambda: [decode_jpeg(x) for x in data], len(files))
        if place.device.type == "cuda":
            yield decoding("by nvJPEG", place, lambda: decode_jpeg(data, device=place.device), len(files))


def decoding(how: str, place: Place, call: Call, images: int) -> dict:
    """A row of a decoder, or why it does not work here."""
    try:
        row = measured(place, call)
    except RuntimeError as error:
        row = {"error": str(error).partition("\n")[0]}
    return {"case": f"decoding {how}"} | ({"images_s": round(1e3 * images / row["ms"], 1)} if "ms" in row else row)


def images_a_second(photos: Coco, side: int, workers: int, batch: int, *, pin: bool) -> float:
    """The rate of a whole epoch, from the first batch on, whose wait is that for the workers' start."""
    loader = Loader(photos, Augment(sizes=(side,)), batch, workers=workers, pin=pin)
    batches = loader.epoch(0)
    seen, begun = -len(next(batches)[0].ids), perf_counter()
    seen += len(photos)
    for _ in batches:
        pass
    return seen / (perf_counter() - begun)


def data_wait(step_images_s: float, loader_images_s: float) -> float:
    """The share of a step that waits for data, if the loader works while the GPU does and is the slower of the two."""
    return max(0.0, 1 - loader_images_s / step_images_s)
