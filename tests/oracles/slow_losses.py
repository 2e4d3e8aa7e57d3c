"""The paper's quantities again, pair by pair in Python's float64, for tests to compare with: no tensors, no broadcasting.

Written from the equations (DETR's L1 and GIoU, the focal cost and loss, Eq. 3, 4, 8, 9 and 10 of arXiv 2211.10156).
"""

import math
from types import SimpleNamespace

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment


def plain(noun):
    """Predictions or Targets with arrays of float64 in place of tensors."""
    tensors = {k: v.detach().double().numpy() for k, v in vars(noun).items() if isinstance(v, torch.Tensor)}
    return SimpleNamespace(**tensors)


def corners(box):
    cx, cy, w, h = map(float, box)
    return cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2


def overlap(a, b):
    """(IoU, GIoU) of two boxes (cx, cy, w, h) that are not empty."""
    (ax, ay, aX, aY), (bx, by, bX, bY) = corners(a), corners(b)
    inner = max(min(aX, bX) - max(ax, bx), 0) * max(min(aY, bY) - max(ay, by), 0)
    union = (aX - ax) * (aY - ay) + (bX - bx) * (bY - by) - inner
    hull = (max(aX, bX) - min(ax, bx)) * (max(aY, bY) - min(ay, by))
    return inner / union, inner / union - (hull - union) / hull


def l1(a, b, box):
    if box == "xyxy":
        a, b = corners(a), corners(b)
    return sum(abs(float(x) - float(y)) for x, y in zip(a, b))


def sigmoid(z):
    return 1 / (1 + math.exp(-z)) if z >= 0 else math.exp(z) / (1 + math.exp(z))


def softplus(z):
    return max(z, 0) + math.log1p(math.exp(-abs(z)))


def bce(z, p):
    """Binary cross-entropy of the logit z under the probability p."""
    return softplus(z) - p * z


def soft_bce(mine, theirs):
    return sum(bce(float(z), sigmoid(float(t))) for z, t in zip(mine, theirs))


def focal_price(logits, label, m):
    """Class cost of the focal form: of saying `label`, less that of not saying it."""
    p = sigmoid(float(logits[label]))
    return -m.alpha * (1 - p) ** m.gamma * math.log(p + m.eps) + (1 - m.alpha) * p**m.gamma * math.log(1 - p + m.eps)


def focal_loss(logits, label, m):
    """Of one query; `label` None is background."""
    total = 0
    for c, z in enumerate(map(float, logits)):
        p = sigmoid(z)
        yes = c == label
        total += m.alpha * (1 - p) ** m.gamma * softplus(-z) if yes else (1 - m.alpha) * p**m.gamma * softplus(z)
    return total


def truth_price(p, targets, layer, image, query, t, m):
    box, true = p.boxes[layer, image, query], targets.boxes[t]
    price = m.class_weight * focal_price(p.logits[layer, image, query], int(targets.labels[t]), m)
    return price + m.l1_weight * l1(box, true, m.box) - m.giou_weight * overlap(box, true)[1]


def cheapest(rows, columns, price):
    """The pairs (row, column) of least total price, by scipy on a table made one price after another."""
    table = np.array([[price(r, c) for c in columns] for r in rows]).reshape(len(rows), len(columns))
    return {(rows[i], columns[j]) for i, j in zip(*linear_sum_assignment(table))}


def to_truth(p, targets, m):
    """{(layer, image, query, target)} of the detector's own matching."""
    found = set()
    for layer, image in np.ndindex(*p.logits.shape[:2]):
        mine = [t for t in range(len(targets.labels)) if int(targets.image[t]) == image]
        queries = list(range(p.logits.shape[2]))
        pairs = cheapest(queries, mine, lambda q, t, k=layer, b=image: truth_price(p, targets, k, b, q, t, m))
        found |= {(layer, image, q, t) for q, t in pairs}
    return found


def detection(p, targets, rows, m):
    """Sums of class, l1 and giou, given who answers for what."""
    label = {row[:3]: int(targets.labels[row[3]]) for row in rows}
    n = max(len(targets.labels), 1)
    return {
        "class": sum(focal_loss(p.logits[k], label.get(k), m) for k in np.ndindex(*p.logits.shape[:3])) / n,
        "l1": sum(l1(p.boxes[r[:3]], targets.boxes[r[3]], m.box) for r in rows) / n,
        "giou": sum(1 - overlap(p.boxes[r[:3]], targets.boxes[r[3]])[1] for r in rows) / n,
    }


def logits_pairs(s, t, rows, m, *, subtract_entropy):
    """Pairs (layer, image, student's query, teacher's query) of Eq. 3 and of Eq. 4, given whom the teacher answers for."""
    positive, negative = set(), set()
    for k, b in np.ndindex(*s.logits.shape[:2]):

        def place(i, j, k=k, b=b):
            return (
                m.l1_weight * l1(s.boxes[k, b, i], t.boxes[k, b, j], m.box)
                - m.giou_weight * overlap(s.boxes[k, b, i], t.boxes[k, b, j])[1]
            )

        def whole(i, j, k=k, b=b, place=place):
            floor = soft_bce(t.logits[k, b, j], t.logits[k, b, j]) if subtract_entropy else 0
            return place(i, j) + m.class_weight * (soft_bce(s.logits[k, b, i], t.logits[k, b, j]) - floor)

        answering = {r[2] for r in rows if r[:2] == (k, b)}
        students, teachers = range(s.logits.shape[2]), range(t.logits.shape[2])
        found = cheapest(list(students), sorted(answering), whole)
        left = [i for i in students if i not in {i for i, _ in found}]
        others = cheapest(left, [j for j in teachers if j not in answering], place)
        positive |= {(k, b, *pair) for pair in found}
        negative |= {(k, b, *pair) for pair in others}
    return positive, negative


def logits(s, t, pairs, m, *, divide, subtract_entropy):
    """The five sums; each kind of pair divided by its number in a stage, or by nothing."""
    sums = {}
    for kind, rows in zip(("positive", "negative"), pairs):
        n = max(len(rows) / len(s.logits), 1) if divide else 1
        mine_theirs = [(r[:3], (r[0], r[1], r[3])) for r in rows]
        sums[f"{kind}_l1"] = sum(l1(s.boxes[a], t.boxes[b], m.box) for a, b in mine_theirs) / n
        sums[f"{kind}_giou"] = sum(1 - overlap(s.boxes[a], t.boxes[b])[1] for a, b in mine_theirs) / n
        if kind == "positive":
            floor = sum(soft_bce(t.logits[b], t.logits[b]) for _, b in mine_theirs) if subtract_entropy else 0
            sums["positive_class"] = (sum(soft_bce(s.logits[a], t.logits[b]) for a, b in mine_theirs) - floor) / n
    return sums


def whole_pairs(s, t, m, *, subtract_entropy):
    """The release's one matching of all student queries with all teacher queries, at m.class_weight for soft scores."""
    found = set()
    for k, b in np.ndindex(*s.logits.shape[:2]):

        def price(i, j, k=k, b=b):
            mine, theirs = (s.logits[k, b, i], s.boxes[k, b, i]), (t.logits[k, b, j], t.boxes[k, b, j])
            floor = soft_bce(theirs[0], theirs[0]) if subtract_entropy else 0
            place = m.l1_weight * l1(mine[1], theirs[1], m.box) - m.giou_weight * overlap(mine[1], theirs[1])[1]
            return place + m.class_weight * (soft_bce(mine[0], theirs[0]) - floor)

        queries = [list(range(x.logits.shape[2])) for x in (s, t)]
        found |= {(k, b, *pair) for pair in cheapest(*queries, price)}
    return found


def best_overlap(box, image, targets):
    """The highest IoU with an object of the image; 1 where it has none."""
    mine = [t for t in range(len(targets.labels)) if int(targets.image[t]) == image]
    return max((overlap(box, targets.boxes[t])[0] for t in mine), default=1.0)


def top_pairs(logits, top):
    """The `top` best (score, query) of one image, over queries and classes."""
    scores = [(sigmoid(float(z)), q) for q, row in enumerate(logits) for z in row]
    return sorted(scores, reverse=True)[:top]


def merged_mask(theirs, hidden, q, padding):
    """The release's mask of one image and level, on its valid places: d h w, q d, q, h w."""
    places = [(y, x) for y, x in np.ndindex(*padding.shape) if not padding[y, x]]
    mask = np.zeros(padding.shape)
    for y, x in places:
        f = theirs[:, y, x]
        cosines = [float(f @ h) / (np.linalg.norm(f) * np.linalg.norm(h)) for h in hidden]
        mask[y, x] = max(sum(v * c for v, c in zip(q, cosines)), 0.01)
    return mask / max(mask[p] for p in places)


def quality(p, targets, rows, gamma):
    """q of Eq. 8 of the last stage, image by query; 0 without an object."""
    q = np.zeros(p.logits.shape[1:3])
    for layer, image, query, t in rows:
        if layer == len(p.logits) - 1:
            score = sigmoid(float(p.logits[layer, image, query, int(targets.labels[t])]))
            iou = overlap(p.boxes[layer, image, query], targets.boxes[t])[0]
            q[image, query] = score**gamma * iou ** (1 - gamma)
    return q


def features(mine, theirs, hidden, q, padding, *, mask, scale):
    """One level's sum over queries of Eq. 9, averaged over valid places, channels, images; arrays b d h w, b q d, b q, b h w."""
    total = 0
    for b in range(len(theirs)):
        places = [(y, x) for y, x in np.ndindex(*padding.shape[1:]) if not padding[b, y, x]]
        weight = {}
        for y, x in places:
            f = theirs[b, :, y, x]
            weight[y, x] = 0
            for i, h in enumerate(hidden[b]):
                psi = float(f @ h)
                if mask == "cosine":
                    psi = max(psi / (np.linalg.norm(f) * np.linalg.norm(h)), 0)
                weight[y, x] += q[b, i] * psi**2 / len(hidden[b])
        mean = sum(weight.values()) / len(places) if scale == "mean" else 1
        gaps = {p: ((theirs[b, :, *p] - mine[b, :, *p]) ** 2).mean() for p in places}
        total += sum(weight[p] / mean * gaps[p] for p in places) / len(places) if mean else 0
    return total / len(theirs)
