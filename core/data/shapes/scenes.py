"""Scenes of drawn shapes. A scene knows no pixels: it can be painted at any size."""

import colorsys
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int, UInt8
from numpy import ndarray
from numpy.random import Generator
from PIL import Image, ImageDraw

from core.data.shapes.outlines import HOLES, NAMES, OUTLINES

COUNT = (1, 8)  # shapes in a scene
RADIUS = (7 / 96, 22 / 96)  # of the circle around a shape; all lengths are in image sides
TILT = 0.5  # largest rotation, in radians
STRETCH = 0.12  # largest log of the factor by which a shape is widened and flattened
WAVES = (0.05, 0.12)  # wavelength of the stripes on a shape
GRIDS = ((3, 26.0), (14, 10.0), (48, 7.0))  # cells a side and strength of the ground's textures, out of 255
SHADOW, RIM = 1 / 64, 0.9 / 64  # how far the one falls, how wide the other is
VISIBLE = 0.4  # share of a shape that must show for it to count
RASTER = 96  # cells a side where that is measured, whatever the size painted
SMOOTH = 4  # sub-pixels a side: soft edges


@dataclass(frozen=True)
class Shape:
    label: int
    outline: Float[ndarray, "n 2"]
    hole: Float[ndarray, "m 2"] | None
    colours: Float[ndarray, "2 3"]  # of its stripes, 0 .. 255
    wave: Float[ndarray, "2"]  # of its stripes, in radians an image side
    light: Float[ndarray, "2"]  # change of brightness, an image side

    @cached_property
    def box(self) -> Float[ndarray, "4"]:
        """(x0, y0, x1, y1) of the whole shape, also of what is hidden."""
        return np.concatenate([self.outline.min(0), self.outline.max(0)])


@dataclass(frozen=True)
class Scene:
    ground: UInt8[ndarray, "n n 3"]  # coarse: to be blown up
    shapes: tuple[Shape, ...]  # from the back to the front


def draw_scene(rng: Generator) -> Scene:
    ground = draw_ground(rng)
    count = int(rng.integers(*COUNT, endpoint=True))
    return Scene(ground, tuple(draw_shape(rng) for _ in range(count)))


def draw_ground(rng: Generator) -> UInt8[ndarray, "n n 3"]:
    """One colour under noise that is coarse, middling and fine."""
    fine = GRIDS[-1][0]
    ground = np.tile(random_colour(rng, saturation=(0.08, 0.35), value=(0.3, 0.9)), (fine, fine, 1))
    for cells, strength in GRIDS:
        noise = rng.integers(256, size=(cells, cells, 3), dtype=np.uint8)
        ground += strength * (blown_up(noise, fine) / 127.5 - 1)
    return ground.clip(0, 255).astype(np.uint8)


def draw_shape(rng: Generator) -> Shape:
    """Somewhere inside the image, in any colour: nothing but its outline tells its class."""
    label = int(rng.integers(len(NAMES)))
    outline, hole = OUTLINES[NAMES[label]], HOLES.get(NAMES[label])
    turn = turned(rng.uniform(-TILT, TILT)) @ stretched(rng.uniform(-STRETCH, STRETCH)) * rng.uniform(*RADIUS)
    outline = outline @ turn.T
    place = rng.uniform(-outline.min(0), 1 - outline.max(0))
    colour = random_colour(rng, saturation=(0.3, 0.95), value=(0.4, 1.0))
    angle, length = rng.uniform(0, 2 * np.pi), rng.uniform(*WAVES)
    return Shape(
        label,
        outline + place,
        None if hole is None else hole @ turn.T + place,
        np.stack([colour, colour * rng.uniform(0.6, 1.0)]),
        direction(angle) * 2 * np.pi / length,
        direction(rng.uniform(0, 2 * np.pi)) * 1.2,
    )


def random_colour(rng: Generator, saturation: tuple[float, float], value: tuple[float, float]) -> Float[ndarray, "3"]:
    return 255 * np.array(colorsys.hsv_to_rgb(rng.random(), rng.uniform(*saturation), rng.uniform(*value)))


def direction(angle: float) -> Float[ndarray, "2"]:
    return np.array([np.cos(angle), np.sin(angle)])


def turned(angle: float) -> Float[ndarray, "2 2"]:
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def stretched(log: float) -> Float[ndarray, "2 2"]:
    return np.diag(np.exp([log, -log]))


def visible(scene: Scene) -> Float[ndarray, " t"]:
    """The share of each shape that nothing in front of it hides."""
    whole = (np.zeros(2, int), np.full(2, RASTER))
    hidden = np.zeros((RASTER, RASTER), dtype=bool)
    shares = []
    for shape in reversed(scene.shapes):
        inside = np.asarray(stencil(shape, RASTER, *whole)) > 0
        shares.append((inside & ~hidden).sum() / inside.sum())
        hidden |= inside
    return np.array(shares[::-1])


def seen(scene: Scene) -> list[Shape]:
    """The shapes that count."""
    return [shape for shape, share in zip(scene.shapes, visible(scene)) if share >= VISIBLE]


def paint(scene: Scene, size: int) -> UInt8[ndarray, "size size 3"]:
    canvas = blown_up(scene.ground, size)
    for shape in scene.shapes:
        paint_shape(canvas, shape)
    return canvas.clip(0, 255).round().astype(np.uint8)


def blown_up(grid: UInt8[ndarray, "n n 3"], size: int) -> Float[ndarray, "size size 3"]:
    return np.array(Image.fromarray(grid).resize((size, size), Image.Resampling.BICUBIC), dtype=np.float32)


def paint_shape(canvas: Float[ndarray, "size size 3"], shape: Shape) -> None:
    """Onto the canvas: a shadow, stripes under a light from one side, a dark rim."""
    size, box = len(canvas), shape.box * len(canvas)
    drop = max(1, round(SHADOW * size))
    low = np.maximum(np.floor(box[:2]).astype(int) - 1, 0)
    high = np.minimum(np.ceil(box[2:]).astype(int) + 1 + drop, size)
    inside = coverage(stencil(shape, size * SMOOTH, low * SMOOTH, high * SMOOTH))
    rim = coverage(contour(shape, size * SMOOTH, low * SMOOTH, high * SMOOTH))
    patch = canvas[low[1] : high[1], low[0] : high[0]]
    patch[drop:, drop:] *= 1 - 0.4 * inside[:-drop, :-drop]
    patch += inside * ((1 - 0.5 * rim) * texture(shape, size, low, high) - patch)


def stencil(shape: Shape, size: int, low: Int[ndarray, "2"], high: Int[ndarray, "2"]) -> Image.Image:
    """255 inside the shape: the window from `low` to `high` (x, y) of an image of `size` pixels a side."""
    image = Image.new("L", tuple(high - low))
    draw = ImageDraw.Draw(image)
    draw.polygon(points(shape.outline, size, low), fill=255)
    if shape.hole is not None:
        draw.polygon(points(shape.hole, size, low), fill=0)
    return image


def contour(shape: Shape, size: int, low: Int[ndarray, "2"], high: Int[ndarray, "2"]) -> Image.Image:
    """255 along the edges of the shape, in the same window."""
    image = Image.new("L", tuple(high - low))
    draw = ImageDraw.Draw(image)
    for edge in (shape.outline, shape.hole):
        if edge is not None:
            corners = points(edge, size, low)
            draw.line(corners + corners[:2], fill=255, width=round(RIM * size))
    return image


def points(outline: Float[ndarray, "n 2"], size: int, low: Int[ndarray, "2"]) -> list[tuple[float, float]]:
    """Pillow means pixel centres by whole numbers."""
    return [(x, y) for x, y in (outline * size - low - 0.5).tolist()]


def coverage(fine: Image.Image) -> Float[ndarray, "h w 1"]:
    """The share of each pixel, from its sub-pixels."""
    return np.asarray(fine.reduce(SMOOTH), dtype=np.float32)[..., None] / 255


def texture(shape: Shape, size: int, low: Int[ndarray, "2"], high: Int[ndarray, "2"]) -> Float[ndarray, "h w 3"]:
    centre = (shape.box[:2] + shape.box[2:]) / 2
    x, y = (((np.arange(low[k], high[k]) + 0.5) / size - centre[k]).astype(np.float32) for k in (0, 1))
    wave, slope = shape.wave.astype(np.float32), shape.light.astype(np.float32)
    stripe = 0.5 + 0.5 * np.sin(wave[0] * x + wave[1] * y[:, None])
    light = 1 + slope[0] * x + slope[1] * y[:, None]
    first, second = shape.colours.astype(np.float32)
    return (first + stripe[..., None] * (second - first)) * light[..., None]
