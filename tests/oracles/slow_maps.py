"""Slow reference versions of the feature losses that DETRDistill is compared with, place by place in float64.

Written from their papers' equations.

Maps of one image are arrays d h w, `padding` is h w, boxes are (cx, cy, w, h) in fractions of the image.
"""

import math

import numpy as np

from tests.oracles import slow_losses


def places(padding):
    """The places (y, x) that are not padding."""
    return [(y, x) for y, x in np.ndindex(*padding.shape) if not padding[y, x]]


def softmax(values):
    """The softmax of a list."""
    powers = [math.exp(v - max(values)) for v in values]
    return [p / sum(powers) for p in powers]


def attention(x, padding, t):
    """A^S by place and A^C by channel: FGD's Eq. 4 to 7, FKD's masks."""
    valid = places(padding)
    share = softmax([float(np.abs(x[:, y, c]).mean()) / t for y, c in valid])
    spatial = {p: s * len(valid) for p, s in zip(valid, share)}
    energy = [sum(abs(float(row[p])) for p in valid) / len(valid) / t for row in x]
    return spatial, [s * len(x) for s in softmax(energy)]


def fgd(student, teacher, padding, boxes, size, stride, t):
    """Sums of Eq. 8 (both terms) and of Eq. 9 (places, channels), of one image and level."""
    valid = places(padding)
    (spatial, channel), (student_spatial, student_channel) = (
        attention(teacher, padding, t),
        attention(student, padding, t),
    )
    smallest = {}
    for box in boxes:
        x0, y0, x1, y1 = (v * size[1 - i % 2] / stride for i, v in enumerate(slow_losses.corners(box)))
        rows, columns = (range(math.floor(a), math.ceil(b) + 1) for a, b in ((y0, y1), (x0, x1)))
        for p in valid:
            if p[0] in rows and p[1] in columns:
                smallest[p] = min(len(rows) * len(columns), smallest.get(p, math.inf))
    free = [p for p in valid if p not in smallest]
    error = {p: spatial[p] * sum(a * d**2 for a, d in zip(channel, teacher[:, *p] - student[:, *p])) for p in valid}
    return {
        "foreground": sum(error[p] / area for p, area in smallest.items()),
        "background": sum(error[p] / len(free) for p in free),
        "attention": sum(abs(spatial[p] - student_spatial[p]) for p in valid),
        "channels": sum(abs(a - b) for a, b in zip(channel, student_channel)),
    }


def context(x, padding, block):
    """R(F) of FGD's Eq. 12, by the weights of a GcBlock."""
    look, first, norm, last = (array(m) for m in (block.look, *(block.change[i] for i in (0, 1, 3))))
    valid = places(padding)
    share = softmax([float(look[0].reshape(-1) @ x[:, *p]) for p in valid])
    hidden = first[0] @ sum(s * x[:, *p] for s, p in zip(share, valid)) + first[1]
    hidden = (hidden - hidden.mean()) / math.sqrt(hidden.var() + 1e-5) * norm[0] + norm[1]
    return x + (last[0] @ hidden.clip(0) + last[1])[:, None, None]


def array(layer):
    """Weight and bias of a layer."""
    return [p.detach().double().numpy() for p in (layer.weight, layer.bias)]


def squared(a, b, padding):
    """Sum of the squared difference over channels and valid places."""
    return sum(float(((a[:, *p] - b[:, *p]) ** 2).sum()) for p in places(padding))


def conv(x, padding, layer):
    """A 3x3 convolution that reads zeros beyond the image."""
    weight, bias = array(layer)
    out = np.zeros((len(weight), *padding.shape))
    valid = set(places(padding))
    for y, c in valid:
        out[:, y, c] = bias
        for i, j in np.ndindex(3, 3):
            if (p := (y + i - 1, c + j - 1)) in valid:
                out[:, y, c] += weight[:, :, i, j] @ x[:, *p]
    return out


def point(x, layer):
    """A 1x1 convolution."""
    weight, bias = array(layer)
    return np.einsum("od,dhw->ohw", weight.reshape(len(weight), -1), x) + bias[:, None, None]


def mgd(student, teacher, padding, mask, block):
    """Eq. 3 and 4 of one image and level."""
    hidden = conv(student * mask, padding, block.first).clip(0)
    return squared(teacher, conv(hidden, padding, block.second), padding)


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


def fkd(student, teacher, padding, head):
    """The four norms of one image and level."""
    valid, t = places(padding), head.temperature
    adapted = point(student, head.feature)
    (s1, c1), (s2, c2) = attention(teacher, padding, t), attention(adapted, padding, t)
    weight, bias = array(head.channel)
    pooled = [np.array([np.mean([row[p] for p in valid]) for row in x]) for x in (teacher, student)]
    guided = sum(
        (s1[y, x] + s2[y, x]) / 2 * (c1[d] + c2[d]) / 2 * (teacher[d, y, x] - adapted[d, y, x]) ** 2
        for y, x in valid
        for d in range(len(teacher))
    )
    flat = [m.mean(0)[None] for m in (teacher, student)]
    related = non_local(teacher, padding, head.theirs), point(non_local(student, padding, head.mine), head.relation)
    return {
        "feature": math.sqrt(guided),
        "spatial": math.sqrt(squared(flat[0], conv(flat[1], padding, head.spatial), padding)),
        "channel": float(np.linalg.norm(pooled[0] - weight @ pooled[1] - bias)),
        "relation": math.sqrt(squared(*related, padding)),
    }


def non_local(x, padding, block):
    """A non-local block as the full matrix of places x pooled windows."""
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
    """Contrast's projection of the pairs of a layer (m d), normalised by their own statistics, scaled to length 1."""
    (w0, b0), (w1, b1), (gain, shift), (w2, b2) = (array(layers[i]) for i in (0, 1, 2, 4))
    x = (x @ w0.T + b0) @ w1.T + b1
    x = (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5) * gain + shift
    x = x.clip(0) @ w2.T + b2
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def info_nce(student, teacher, t):
    """InfoNCE of each pair i: -log of the softmax that picks student[i] among all students by teacher[i]."""
    return [-math.log(softmax([float(z @ other) / t for other in student])[i]) for i, z in enumerate(teacher)]
