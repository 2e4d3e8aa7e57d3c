"""AdaMixer's sampling, mixing, stages, matching and loss as plain functions over a state dict with the released names.

An oracle: slow and literal, no modules, in the layout of MCG-NJU/AdaMixer, with which it agrees to 1e-5.
"""

import math

import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment


def linear(sd, key, x):
    return x @ sd[key + ".weight"].T + sd[key + ".bias"]


def layer_norm(sd, key, x):
    return F.layer_norm(x, x.shape[-1:], sd[key + ".weight"], sd[key + ".bias"])


def size_of(z):
    s = 2.0 ** z[..., 2]
    return torch.stack([s * 2.0 ** (-z[..., 3] / 2), s * 2.0 ** (z[..., 3] / 2)], -1)


def box_of(z):
    w = size_of(z)
    return torch.cat([z[..., :2] - w / 2, z[..., :2] + w / 2], -1)


def sample(points, maps, strides, groups):
    """Points B N (G*P) 3 in pixels and log2 -> B N G P C/G."""
    b, n, gp, _ = points.shape
    c, p = maps[0].shape[1], gp // groups
    levels = torch.tensor([math.log2(s) for s in strides])
    blend = torch.softmax(-((points[..., 2:3] - levels) ** 2) / 2.0, -1)  # B N GP L
    out = 0
    for k, (f, s) in enumerate(zip(maps, strides)):
        h, w = f.shape[-2:]
        grid = points[..., :2] / torch.tensor([w * s, h * s], dtype=points.dtype) * 2 - 1
        grid = grid.view(b, n, groups, p, 2).permute(0, 2, 1, 3, 4).reshape(b * groups, n, p, 2)
        v = F.grid_sample(f.reshape(b * groups, c // groups, h, w), grid, align_corners=False)
        v = v.view(b, groups, c // groups, n, p).permute(0, 3, 1, 4, 2)
        out = out + v * blend[..., k].view(b, n, groups, p, 1)
    return out


def mixing(sd, prefix, x, q, out_points):
    b, n, g, p, c = x.shape
    made = linear(sd, prefix + "parameter_generator.0", q).view(b, n, g, c * c + p * out_points)
    m, s = made[..., : c * c].reshape(b, n, g, c, c), made[..., c * c :].reshape(b, n, g, out_points, p)
    y = x @ m
    y = F.relu(F.layer_norm(y, y.shape[-2:]))
    y = s @ y
    y = F.relu(F.layer_norm(y, y.shape[-2:]))
    return q + linear(sd, prefix + "out_proj", y.flatten(2))


def stage(sd, prefix, about, maps, z, q):
    """(logits, content, xyzr) after one stage."""
    b, n, d = q.shape
    heads, groups, points = about["heads"], about["groups"], about["in_points"]
    box = box_of(z)
    low = torch.maximum(box[:, :, None, :2], box[:, None, :, :2])
    high = torch.minimum(box[:, :, None, 2:], box[:, None, :, 2:])
    inner = (high - low).clamp(min=0).prod(-1)
    area = (box[..., 2] - box[..., 0]) * (box[..., 3] - box[..., 1])
    cover = torch.log(inner / area.clamp(min=1e-6)[:, :, None] + 1e-7)
    quarter = d // 4
    period = 10000 ** (2 * (torch.arange(quarter) // 2) / quarter)
    angle = (z / torch.tensor([1000.0, 1000.0, 1.0, 1.0]))[..., None] / period
    x = q + torch.stack([angle[..., 0::2].sin(), angle[..., 1::2].cos()], -1).flatten(2)
    qkv = x @ sd[prefix + "attention.attn.in_proj_weight"].T + sd[prefix + "attention.attn.in_proj_bias"]
    ask, key, value = qkv.view(b, n, 3, heads, d // heads).permute(2, 0, 3, 1, 4)
    score = ask @ key.transpose(-1, -2) / math.sqrt(d // heads) + cover[:, None] * sd[prefix + "iof_tau"].view(
        1, heads, 1, 1
    )
    out = (score.softmax(-1) @ value).transpose(1, 2).reshape(b, n, d)
    q = layer_norm(sd, prefix + "attention_norm", x + linear(sd, prefix + "attention.attn.out_proj", out))
    offset = linear(sd, prefix + "sampling_n_mixing.sampling_offset_generator.0", q).view(b, n, groups * points, 3)
    xy = z[:, :, None, :2] + offset[..., :2] * size_of(z)[:, :, None]
    f = sample(torch.cat([xy, z[:, :, None, 2:3] + offset[..., 2:]], -1), maps, about["strides"], groups)
    q = mixing(sd, prefix + "sampling_n_mixing.adaptive_mixing.", f, q, about["out_points"])
    q = layer_norm(sd, prefix + "sampling_n_mixing.norm", q)
    q = layer_norm(
        sd,
        prefix + "ffn_norm",
        q + linear(sd, prefix + "ffn.layers.1", F.relu(linear(sd, prefix + "ffn.layers.0.0", q))),
    )
    c = linear(sd, prefix + "fc_cls", F.relu(layer_norm(sd, prefix + "cls_fcs.1", linear(sd, prefix + "cls_fcs.0", q))))
    d = linear(sd, prefix + "fc_reg", F.relu(layer_norm(sd, prefix + "reg_fcs.1", linear(sd, prefix + "reg_fcs.0", q))))
    return c, q, torch.cat([z[..., :2] + d[..., :2] * 2.0 ** z[..., 2:3], z[..., 2:] + d[..., 2:]], -1)


def giou(a, b):
    low, high = torch.maximum(a[:, None, :2], b[None, :, :2]), torch.minimum(a[:, None, 2:], b[None, :, 2:])
    i = (high - low).clamp(min=0).prod(-1)
    u = ((a[:, 2:] - a[:, :2]).prod(-1)[:, None] + (b[:, 2:] - b[:, :2]).prod(-1)[None] - i).clamp(min=1e-6)
    hull = torch.maximum(a[:, None, 2:], b[None, :, 2:]) - torch.minimum(a[:, None, :2], b[None, :, :2])
    hull = hull.clamp(min=0).prod(-1).clamp(min=1e-6)
    return i / u - (hull - u) / hull


def loss(logits, boxes, sizes, true_boxes, true_labels):
    """Of one stage: class, box and GIoU terms with their weights, over the number of objects; boxes in pixels, x0 y0 x1 y1."""
    by_class = by_place = by_overlap = 0
    for i, (h, w) in enumerate(sizes):
        scale = torch.tensor([w, h, w, h], dtype=torch.float32)
        p, true, label = logits[i].sigmoid(), true_boxes[i], true_labels[i]
        cost = 2 * (0.25 * (1 - p) ** 2 * -(p + 1e-12).log() - 0.75 * p**2 * -(1 - p + 1e-12).log())[:, label]
        cost = cost + 5 * torch.cdist(boxes[i] / scale, true / scale, p=1) - 2 * giou(boxes[i], true)
        r, k = (torch.as_tensor(x) for x in linear_sum_assignment(cost.detach().numpy()))
        want = torch.zeros_like(p)
        want[r, label[k]] = 1
        miss = (1 - p) * want + p * (1 - want)
        entropy = F.binary_cross_entropy_with_logits(logits[i], want, reduction="none")
        by_class = by_class + (entropy * (0.25 * want + 0.75 * (1 - want)) * miss**2).sum()
        by_place = by_place + ((boxes[i][r] - true[k]).abs() / scale).sum()
        by_overlap = by_overlap + (1 - giou(boxes[i][r], true[k]).diagonal()).sum()
    n = sum(len(x) for x in true_labels)
    return 2 * by_class / n, 5 * by_place / n, 2 * by_overlap / n
