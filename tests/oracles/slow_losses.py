"""Slow reference versions of the paper's quantities, pair by pair in Python's float64, without tensors or broadcasting.

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
    """(cx, cy, w, h) to (x0, y0, x1, y1)."""
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
    """L1 distance of two boxes, as corners if `box` is "xyxy"."""
    if box == "xyxy":
        a, b = corners(a), corners(b)
    return sum(abs(float(x) - float(y)) for x, y in zip(a, b))


def sigmoid(z):
    """The logistic function, without overflow."""
    return 1 / (1 + math.exp(-z)) if z >= 0 else math.exp(z) / (1 + math.exp(z))


def softplus(z):
    """log(1 + exp(z)), without overflow."""
    return max(z, 0) + math.log1p(math.exp(-abs(z)))


def bce(z, p):
    """Binary cross-entropy of the logit z under the probability p."""
    return softplus(z) - p * z


def soft_bce(student, teacher):
    """Cross-entropy of the student's logits with the teacher's scores as targets, summed over classes."""
    return sum(bce(float(z), sigmoid(float(t))) for z, t in zip(student, teacher))


def focal_cost(logits, label, m):
    """Class cost of the focal form: the focal loss of a positive of class `label` minus that of a negative."""
    p = sigmoid(float(logits[label]))
    return -m.alpha * (1 - p) ** m.gamma * math.log(p + m.eps) + (1 - m.alpha) * p**m.gamma * math.log(1 - p + m.eps)


def focal_loss(logits, label, m):
    """Focal loss of one query, summed over classes; `label` None is background."""
    total = 0
    for c, z in enumerate(map(float, logits)):
        p = sigmoid(z)
        positive = c == label
        total += m.alpha * (1 - p) ** m.gamma * softplus(-z) if positive else (1 - m.alpha) * p**m.gamma * softplus(z)
    return total


def class_loss(logits, label, u, m):
    """Class loss of one query, summed over classes; `label` None is background, u is the IoU with its object."""
    if m.class_loss == "softmax":
        p = [sigmoid(float(z)) for z in logits]
        return -m.no_object * math.log(1 - sum(p)) if label is None else -math.log(p[label])
    usual = {"focal": (m.alpha, m.gamma), "vfl": (0.75, 2), "mal": (1, 1.5), "ia_bce": (0.25, 2)}[m.class_loss]
    a, g = (x if given is None else given for x, given in zip(usual, (m.loss_alpha, m.loss_gamma)))
    total = 0
    for c, z in enumerate(map(float, logits)):
        p = sigmoid(z)
        if c != label:
            total += {"focal": 1 - a, "ia_bce": 1}.get(m.class_loss, a) * p**g * softplus(z)
        elif m.class_loss == "focal":
            total += a * (1 - p) ** g * softplus(-z)
        elif m.class_loss == "vfl":
            total += u * bce(z, u)
        else:
            total += bce(z, u**g if m.class_loss == "mal" else max(p**a * u ** (1 - a), 0.01))
    return total


def truth_cost(p, targets, layer, image, query, t, m):
    """Weighted cost of matching a query with the object t."""
    box, true = p.boxes[layer, image, query], targets.boxes[t]
    logits, label = p.logits[layer, image, query], int(targets.labels[t])
    class_cost = -sigmoid(float(logits[label])) if m.class_cost == "score" else focal_cost(logits, label, m)
    cost = m.class_weight * class_cost
    return cost + m.l1_weight * l1(box, true, m.box) - m.giou_weight * overlap(box, true)[1]


def optimal_pairs(rows, columns, cost):
    """The pairs (row, column) of least total cost, by scipy on a table that is filled pair by pair."""
    table = np.array([[cost(r, c) for c in columns] for r in rows]).reshape(len(rows), len(columns))
    return {(rows[i], columns[j]) for i, j in zip(*linear_sum_assignment(table))}


def to_truth(p, targets, m):
    """{(layer, image, query, target)} of the detector's own matching."""
    rows = set()
    for layer, image in np.ndindex(*p.logits.shape[:2]):
        objects = [t for t in range(len(targets.labels)) if int(targets.image[t]) == image]
        queries = list(range(p.logits.shape[2]))
        pairs = optimal_pairs(queries, objects, lambda q, t, k=layer, b=image: truth_cost(p, targets, k, b, q, t, m))
        rows |= {(layer, image, q, t) for q, t in pairs}
    return rows


def detection(p, targets, rows, m):
    """Sums of class, l1 and giou, for the assignment `rows` of (layer, image, query, object)."""
    label = {row[:3]: int(targets.labels[row[3]]) for row in rows}
    n = max(len(targets.labels), 1)
    return {
        "class": sum(focal_loss(p.logits[k], label.get(k), m) for k in np.ndindex(*p.logits.shape[:3])) / n,
        "l1": sum(l1(p.boxes[r[:3]], targets.boxes[r[3]], m.box) for r in rows) / n,
        "giou": sum(1 - overlap(p.boxes[r[:3]], targets.boxes[r[3]])[1] for r in rows) / n,
    }


def logits_pairs(s, t, rows, m, *, subtract_entropy):
    """Pairs (layer, image, student's query, teacher's query) of Eq. 3 and of Eq. 4, for the teacher's assignment `rows`."""
    positive, negative = set(), set()
    for k, b in np.ndindex(*s.logits.shape[:2]):

        def box_cost(i, j, k=k, b=b):
            return (
                m.l1_weight * l1(s.boxes[k, b, i], t.boxes[k, b, j], m.box)
                - m.giou_weight * overlap(s.boxes[k, b, i], t.boxes[k, b, j])[1]
            )

        def cost(i, j, k=k, b=b, box_cost=box_cost):
            floor = soft_bce(t.logits[k, b, j], t.logits[k, b, j]) if subtract_entropy else 0
            return box_cost(i, j) + m.class_weight * (soft_bce(s.logits[k, b, i], t.logits[k, b, j]) - floor)

        matched = {r[2] for r in rows if r[:2] == (k, b)}
        students, teachers = range(s.logits.shape[2]), range(t.logits.shape[2])
        first = optimal_pairs(list(students), sorted(matched), cost)
        left = [i for i in students if i not in {i for i, _ in first}]
        others = optimal_pairs(left, [j for j in teachers if j not in matched], box_cost)
        positive |= {(k, b, *pair) for pair in first}
        negative |= {(k, b, *pair) for pair in others}
    return positive, negative


def logits(s, t, pairs, m, *, divide, subtract_entropy):
    """The five sums; each kind of pair divided by its number in a layer, or by nothing."""
    sums = {}
    for kind, rows in zip(("positive", "negative"), pairs):
        n = max(len(rows) / len(s.logits), 1) if divide else 1
        both = [(r[:3], (r[0], r[1], r[3])) for r in rows]
        sums[f"{kind}_l1"] = sum(l1(s.boxes[a], t.boxes[b], m.box) for a, b in both) / n
        sums[f"{kind}_giou"] = sum(1 - overlap(s.boxes[a], t.boxes[b])[1] for a, b in both) / n
        if kind == "positive":
            floor = sum(soft_bce(t.logits[b], t.logits[b]) for _, b in both) if subtract_entropy else 0
            sums["positive_class"] = (sum(soft_bce(s.logits[a], t.logits[b]) for a, b in both) - floor) / n
    return sums


def all_pairs(s, t, m, *, subtract_entropy):
    """The release's one matching of all student queries with all teacher queries, at m.class_weight for soft scores."""
    rows = set()
    for k, b in np.ndindex(*s.logits.shape[:2]):

        def cost(i, j, k=k, b=b):
            (z_s, box_s), (z_t, box_t) = (s.logits[k, b, i], s.boxes[k, b, i]), (t.logits[k, b, j], t.boxes[k, b, j])
            floor = soft_bce(z_t, z_t) if subtract_entropy else 0
            boxes = m.l1_weight * l1(box_s, box_t, m.box) - m.giou_weight * overlap(box_s, box_t)[1]
            return boxes + m.class_weight * (soft_bce(z_s, z_t) - floor)

        queries = [list(range(x.logits.shape[2])) for x in (s, t)]
        rows |= {(k, b, *pair) for pair in optimal_pairs(*queries, cost)}
    return rows


def best_iou(box, image, targets):
    """The highest IoU with an object of the image; 1 where it has none."""
    objects = [t for t in range(len(targets.labels)) if int(targets.image[t]) == image]
    return max((overlap(box, targets.boxes[t])[0] for t in objects), default=1.0)


def top_pairs(logits, top):
    """The `top` best (score, query) of one image, over queries and classes."""
    scores = [(sigmoid(float(z)), q) for q, row in enumerate(logits) for z in row]
    return sorted(scores, reverse=True)[:top]


def merged_mask(teacher, hidden, q, padding):
    """The release's mask of one image and level, on its valid places: d h w, q d, q, h w."""
    places = [(y, x) for y, x in np.ndindex(*padding.shape) if not padding[y, x]]
    mask = np.zeros(padding.shape)
    for y, x in places:
        f = teacher[:, y, x]
        cosines = [float(f @ h) / (np.linalg.norm(f) * np.linalg.norm(h)) for h in hidden]
        mask[y, x] = max(sum(v * c for v, c in zip(q, cosines)), 0.01)
    return mask / max(mask[p] for p in places)


def quality(p, targets, rows, gamma):
    """q of Eq. 8 of the last layer, image by query; 0 without an object."""
    q = np.zeros(p.logits.shape[1:3])
    for layer, image, query, t in rows:
        if layer == len(p.logits) - 1:
            score = sigmoid(float(p.logits[layer, image, query, int(targets.labels[t])]))
            iou = overlap(p.boxes[layer, image, query], targets.boxes[t])[0]
            q[image, query] = score**gamma * iou ** (1 - gamma)
    return q


def features(student, teacher, hidden, q, padding, *, mask, scale):
    """Eq. 9 of one level as a sum over queries, mean over valid places, channels and images; arrays bdhw, bqd, bq, bhw."""
    total = 0
    for b in range(len(teacher)):
        places = [(y, x) for y, x in np.ndindex(*padding.shape[1:]) if not padding[b, y, x]]
        weight = {}
        for y, x in places:
            f = teacher[b, :, y, x]
            weight[y, x] = 0
            for i, h in enumerate(hidden[b]):
                psi = float(f @ h)
                if mask == "cosine":
                    psi = max(psi / (np.linalg.norm(f) * np.linalg.norm(h)), 0)
                weight[y, x] += q[b, i] * psi**2 / len(hidden[b])
        mean = sum(weight.values()) / len(places) if scale == "mean" else 1
        errors = {p: ((teacher[b, :, *p] - student[b, :, *p]) ** 2).mean() for p in places}
        total += sum(weight[p] / mean * errors[p] for p in places) / len(places) if mean else 0
    return total / len(teacher)
