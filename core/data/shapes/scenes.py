"""Scenes of shapes: drawn at random in fractions of the image's side, then painted at any number of pixels."""

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
RADIUS = (7 / 96, 22 / 96)  # of the circle around a shape; all lengths are fractions of the image's side
TILT = 0.5  # largest rotation, in radians
STRETCH = 0.12  # largest logarithm of the factor by which a shape gets wider and flatter, or the reverse
WAVES = (0.05, 0.12)  # wavelength of the stripes on a shape
GRIDS = ((3, 26.0), (14, 10.0), (48, 7.0))  # (cells a side, strength out of 255) of each texture of the ground
SHADOW, RIM = 1 / 64, 0.9 / 64  # offset of the shadow, width of the dark rim
VISIBLE = 0.4  # share of a shape that must be visible for it to be an object
RASTER = 96  # cells a side of the grid on which that share is measured, at any size painted
SMOOTH = 4  # sub-pixels a side, for smooth edges


@dataclass(frozen=True)
class Shape:
    """One shape at its place in the scene."""

    label: int
    outline: Float[ndarray, "n 2"]
    hole: Float[ndarray, "m 2"] | None
    colours: Float[ndarray, "2 3"]  # of its stripes, 0 .. 255
    wave: Float[ndarray, "2"]  # of its stripes, in radians per image side
    light: Float[ndarray, "2"]  # change of brightness per image side

    @cached_property
    def box(self) -> Float[ndarray, "4"]:
        """(x0, y0, x1, y1) of the whole shape, with the parts that others hide."""
        return np.concatenate([self.outline.min(0), self.outline.max(0)])


@dataclass(frozen=True)
class Ground:
    """The ground of a scene as it was drawn: one colour, with the noise of each size in GRIDS."""

    colour: Float[ndarray, "3"]
    noise: tuple[UInt8[ndarray, "_ _ 3"], ...]

    def pixels(self) -> UInt8[ndarray, "n n 3"]:
        """The coarse picture of the ground, which is scaled up when it is painted."""
        fine = GRIDS[-1][0]
        picture = np.tile(self.colour, (fine, fine, 1))
        for noise, (_, strength) in zip(self.noise, GRIDS, strict=True):
            picture += strength * (upscaled(noise, fine) / 127.5 - 1)
        return picture.clip(0, 255).astype(np.uint8)


@dataclass(frozen=True)
class Scene:
    """A ground with shapes on it."""

    ground: Ground
    shapes: tuple[Shape, ...]  # from the back to the front


def draw_scene(rng: Generator) -> Scene:
    """A random scene with COUNT shapes."""
    ground = draw_ground(rng)
    count = int(rng.integers(*COUNT, endpoint=True))
    return Scene(ground, tuple(draw_shape(rng) for _ in range(count)))


def draw_ground(rng: Generator) -> Ground:
    """A random ground."""
    colour = random_colour(rng, saturation=(0.08, 0.35), value=(0.3, 0.9))
    return Ground(colour, tuple(rng.integers(256, size=(n, n, 3), dtype=np.uint8) for n, _ in GRIDS))


def draw_shape(rng: Generator) -> Shape:
    """A random shape inside the image. Its size and colours are drawn alike for all classes: only the outline shows the class."""
    label = int(rng.integers(len(NAMES)))
    outline, hole = OUTLINES[NAMES[label]], HOLES.get(NAMES[label])
    turn = rotation(rng.uniform(-TILT, TILT)) @ stretching(rng.uniform(-STRETCH, STRETCH)) * rng.uniform(*RADIUS)
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
    """A random colour in RGB, 0 .. 255, of any hue, and with saturation and value (as in HSV) from these ranges of 0 .. 1."""
    return 255 * np.array(colorsys.hsv_to_rgb(rng.random(), rng.uniform(*saturation), rng.uniform(*value)))


def direction(angle: float) -> Float[ndarray, "2"]:
    """The unit vector at an angle in radians."""
    return np.array([np.cos(angle), np.sin(angle)])


def rotation(angle: float) -> Float[ndarray, "2 2"]:
    """The matrix of a rotation, in radians."""
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def stretching(log: float) -> Float[ndarray, "2 2"]:
    """The matrix that makes a shape wider by the factor exp(log), and flatter by the same factor."""
    return np.diag(np.exp([log, -log]))


def visible_shares(scene: Scene) -> Float[ndarray, " t"]:
    """The share of each shape's area, 0 .. 1, that no shape in front of it hides."""
    whole = (np.zeros(2, int), np.full(2, RASTER))
    hidden = np.zeros((RASTER, RASTER), dtype=bool)
    shares = []
    for shape in reversed(scene.shapes):
        inside = np.asarray(stencil(shape, RASTER, *whole)) > 0
        shares.append((inside & ~hidden).sum() / inside.sum())
        hidden |= inside
    return np.array(shares[::-1])


def visible_shapes(scene: Scene) -> list[Shape]:
    """The shapes that are objects, because a share of VISIBLE or more is not hidden."""
    return [shape for shape, share in zip(scene.shapes, visible_shares(scene)) if share >= VISIBLE]


def paint(scene: Scene, size: int) -> UInt8[ndarray, "size size 3"]:
    """The scene as an RGB image of `size` pixels a side."""
    canvas = upscaled(scene.ground.pixels(), size)
    for shape in scene.shapes:
        paint_shape(canvas, shape)
    return canvas.clip(0, 255).round().astype(np.uint8)


def upscaled(grid: UInt8[ndarray, "n n 3"], size: int) -> Float[ndarray, "size size 3"]:
    """The grid interpolated to `size` pixels a side, 0 .. 255."""
    return np.array(Image.fromarray(grid).resize((size, size), Image.Resampling.BICUBIC), dtype=np.float32)


def paint_shape(canvas: Float[ndarray, "size size 3"], shape: Shape) -> None:
    """Paints a shape onto the canvas, in place: its shadow, stripes that are lit from one side, and a dark rim."""
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
    """A mask, 255 inside the shape and 0 elsewhere: the window from `low` to `high` (x, y) of `size` pixels a side."""
    image = Image.new("L", tuple(high - low))
    draw = ImageDraw.Draw(image)
    draw.polygon(points(shape.outline, size, low), fill=255)
    if shape.hole is not None:
        draw.polygon(points(shape.hole, size, low), fill=0)
    return image


def contour(shape: Shape, size: int, low: Int[ndarray, "2"], high: Int[ndarray, "2"]) -> Image.Image:
    """A mask, 255 along the edges of the shape, of the same window as in `stencil`."""
    image = Image.new("L", tuple(high - low))
    draw = ImageDraw.Draw(image)
    for edge in (shape.outline, shape.hole):
        if edge is not None:
            corners = points(edge, size, low)
            draw.line(corners + corners[:2], fill=255, width=round(RIM * size))
    return image


def points(outline: Float[ndarray, "n 2"], size: int, low: Int[ndarray, "2"]) -> list[tuple[float, float]]:
    """The outline in pixels of the window that begins at `low`. Pillow's whole numbers are centres of pixels: hence - 0.5."""
    return [(x, y) for x, y in (outline * size - low - 0.5).tolist()]


def coverage(fine: Image.Image) -> Float[ndarray, "h w 1"]:
    """The share of each pixel that a mask covers, 0 .. 1, from a mask of sub-pixels."""
    return np.asarray(fine.reduce(SMOOTH), dtype=np.float32)[..., None] / 255


def texture(shape: Shape, size: int, low: Int[ndarray, "2"], high: Int[ndarray, "2"]) -> Float[ndarray, "h w 3"]:
    """The colours of the shape's stripes under its light, in the window from `low` to `high` (x, y)."""
    centre = (shape.box[:2] + shape.box[2:]) / 2
    x, y = (((np.arange(low[k], high[k]) + 0.5) / size - centre[k]).astype(np.float32) for k in (0, 1))
    wave, slope = shape.wave.astype(np.float32), shape.light.astype(np.float32)
    stripe = 0.5 + 0.5 * np.sin(wave[0] * x + wave[1] * y[:, None])
    light = 1 + slope[0] * x + slope[1] * y[:, None]
    first, second = shape.colours.astype(np.float32)
    return (first + stripe[..., None] * (second - first)) * light[..., None]
