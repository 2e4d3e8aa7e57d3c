"""The feature losses that DETRDistill is compared with, place by place in float64, written from their papers' equations.

Maps of one image are arrays d h w, `padding` is h w, boxes are (cx, cy, w, h) in fractions of the image.
"""

import math

import numpy as np

from tests.oracles import slow_losses


def places(padding):
    return [(y, x) for y, x in np.ndindex(*padding.shape) if not padding[y, x]]


def softmax(values):
    powers = [math.exp(v - max(values)) for v in values]
    return [p / sum(powers) for p in powers]


def attention(x, padding, t):
    """A^S by place and A^C by channel: FGD's Eq. 4 to 7, FKD's masks."""
    here = places(padding)
    share = softmax([float(np.abs(x[:, y, c]).mean()) / t for y, c in here])
    spatial = {p: s * len(here) for p, s in zip(here, share)}
    energy = [sum(abs(float(row[p])) for p in here) / len(here) / t for row in x]
    return spatial, [s * len(x) for s in softmax(energy)]


def fgd(mine, theirs, padding, boxes, size, stride, t):
    """Sums of Eq. 8 (both terms) and of Eq. 9 (places, channels), of one image and level."""
    here = places(padding)
    (spatial, channel), (other, others) = attention(theirs, padding, t), attention(mine, padding, t)
    smallest = {}
    for box in boxes:
        x0, y0, x1, y1 = (v * size[1 - i % 2] / stride for i, v in enumerate(slow_losses.corners(box)))
        rows, columns = (range(math.floor(a), math.ceil(b) + 1) for a, b in ((y0, y1), (x0, x1)))
        for p in here:
            if p[0] in rows and p[1] in columns:
                smallest[p] = min(len(rows) * len(columns), smallest.get(p, math.inf))
    free = [p for p in here if p not in smallest]
    gap = {p: spatial[p] * sum(a * d**2 for a, d in zip(channel, theirs[:, *p] - mine[:, *p])) for p in here}
    return {
        "foreground": sum(gap[p] / area for p, area in smallest.items()),
        "background": sum(gap[p] / len(free) for p in free),
        "attention": sum(abs(spatial[p] - other[p]) for p in here),
        "channels": sum(abs(a - b) for a, b in zip(channel, others)),
    }


def context(x, padding, block):
    """R(F) of FGD's Eq. 12, by the weights of a GcBlock."""
    look, first, norm, last = (array(m) for m in (block.look, *(block.change[i] for i in (0, 1, 3))))
    here = places(padding)
    share = softmax([float(look[0].reshape(-1) @ x[:, *p]) for p in here])
    hidden = first[0] @ sum(s * x[:, *p] for s, p in zip(share, here)) + first[1]
    hidden = (hidden - hidden.mean()) / math.sqrt(hidden.var() + 1e-5) * norm[0] + norm[1]
    return x + (last[0] @ hidden.clip(0) + last[1])[:, None, None]


def array(layer):
    """Weight and bias of a layer."""
    return [p.detach().double().numpy() for p in (layer.weight, layer.bias)]


def squared(a, b, padding):
    return sum(float(((a[:, *p] - b[:, *p]) ** 2).sum()) for p in places(padding))


def conv(x, padding, layer):
    """A 3x3 convolution that reads zeros beyond the image."""
    weight, bias = array(layer)
    out = np.zeros((len(weight), *padding.shape))
    here = set(places(padding))
    for y, c in here:
        out[:, y, c] = bias
        for i, j in np.ndindex(3, 3):
            if (p := (y + i - 1, c + j - 1)) in here:
                out[:, y, c] += weight[:, :, i, j] @ x[:, *p]
    return out


def point(x, layer):
    """A 1x1 convolution."""
    weight, bias = array(layer)
    return np.einsum("od,dhw->ohw", weight.reshape(len(weight), -1), x) + bias[:, None, None]


def mgd(mine, theirs, padding, seen, block):
    """Eq. 3 and 4 of one image and level."""
    hidden = conv(mine * seen, padding, block.first).clip(0)
    return squared(theirs, conv(hidden, padding, block.second), padding)


def near(boxes, padding, size, stride, sides, ratios, psi):
    """FGFI's imitation mask: places of anchors whose IoU with a box exceeds psi times its highest."""
    found = set()
    for box in boxes:
        object_ = tuple(float(v) * size[1 - i % 2] for i, v in enumerate(box))
        table = {}
        for y, x in places(padding):
            for side in sides:
                for ratio in ratios:
                    anchor = (
                        (x + 0.5) * stride,
                        (y + 0.5) * stride,
                        side * ratio**-0.5,
                        side * ratio**0.5,
                    )
                    table[y, x, side, ratio] = slow_losses.overlap(anchor, object_)[0]
        found |= {key[:2] for key, v in table.items() if v > psi * max(table.values())}
    return found


def fkd(mine, theirs, padding, head):
    """The four lengths of one image and level."""
    here, t = places(padding), head.temperature
    adapted = point(mine, head.feature)
    (s1, c1), (s2, c2) = attention(theirs, padding, t), attention(adapted, padding, t)
    weight, bias = array(head.channel)
    pooled = [np.array([np.mean([row[p] for p in here]) for row in x]) for x in (theirs, mine)]
    guided = sum(
        (s1[y, x] + s2[y, x]) / 2 * (c1[d] + c2[d]) / 2 * (theirs[d, y, x] - adapted[d, y, x]) ** 2
        for y, x in here
        for d in range(len(theirs))
    )
    flat = [m.mean(0)[None] for m in (theirs, mine)]
    related = non_local(theirs, padding, head.theirs), point(non_local(mine, padding, head.mine), head.relation)
    return {
        "feature": math.sqrt(guided),
        "spatial": math.sqrt(squared(flat[0], conv(flat[1], padding, head.spatial), padding)),
        "channel": float(np.linalg.norm(pooled[0] - weight @ pooled[1] - bias)),
        "relation": math.sqrt(squared(*related, padding)),
    }


def non_local(x, padding, block):
    """Every place asks every window of places: the whole table."""
    query, key, value = (point(x, f) for f in (block.query, block.key, block.value))
    windows = {}
    for y, c in places(padding):
        windows.setdefault((y // block.pool, c // block.pool), []).append((y, c))
    out = np.zeros_like(query)
    for p in places(padding):
        for members in windows.values():
            k, v = (np.max([m[:, *q] for q in members], axis=0) for m in (key, value))
            out[:, *p] += float(query[:, *p] @ k) * v / len(windows)
    return x + point(out, block.out)


def project(x, layers):
    """Contrast's projection of the pairs of a stage (m d), normalised by their own statistics, to length 1."""
    (w0, b0), (w1, b1), (gain, shift), (w2, b2) = (array(layers[i]) for i in (0, 1, 2, 4))
    x = (x @ w0.T + b0) @ w1.T + b1
    x = (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5) * gain + shift
    x = x.clip(0) @ w2.T + b2
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def info_nce(mine, theirs, t):
    """Of each pair (mine[i], theirs[i]): the surprise of being known by theirs[i] among all of mine."""
    return [-math.log(softmax([float(z @ other) / t for other in mine])[i]) for i, z in enumerate(theirs)]
