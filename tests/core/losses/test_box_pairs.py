"""The union of the layers' matchings, in which D-FINE compares boxes: against the release's way, pair by pair."""

from collections import Counter

import pytest
import torch

from core.losses._box_pairs import BoxPairs, union
from core.losses.detection import set_loss
from core.matching.costs import Matching
from core.matching.solving import match_to_truth
from core.types import Assignment
from tests.helpers import tiny

LAYERS, QUERIES = 4, 6
COUNTS = [(3, 1), (0, 2), (0, 0), (6, 5), (1, 0)]
cases = pytest.mark.parametrize(("seed", "counts"), list(enumerate(COUNTS)))


def matchings(seed: int, counts) -> list[Assignment]:
    """A matching of LAYERS layers and one of a single layer; layers agree on some pairs and contradict each other on others."""
    draw, found = torch.Generator().manual_seed(seed), []
    for layers in (LAYERS, 1):
        rows = [
            (layer, image, query, sum(counts[:image]) + k)
            for layer in range(layers)
            for image, n in enumerate(counts)
            for k, query in enumerate((torch.randperm(n + 1, generator=draw)[:n] % QUERIES).tolist())
        ]
        found.append(Assignment(*torch.tensor(rows, dtype=torch.long).reshape(-1, 4).unbind(1)))
    return found


def release_union(found: list[Assignment]) -> set[tuple[int, int, int]]:
    """The union (image, query, object) as the release makes it: the most frequent pair of each query."""
    votes = Counter(row[1:] for a in found for row in tiny.rows(a))
    kept: dict[tuple[int, int], int] = {}
    for (image, query, target), _ in sorted(votes.items(), key=lambda item: (-item[1], item[0])):
        kept.setdefault((image, query), target)
    return {(*place, target) for place, target in kept.items()}


@cases
def test_the_union_is_that_of_the_release(seed, counts):
    found = matchings(seed, counts)
    _, truth = tiny.batch(((64, 64), (48, 64)), counts)
    compared, expected = union(found, truth, layers=LAYERS, queries=QUERIES), release_union(found)
    sums = Counter()
    rows = torch.stack([*compared.pairs.index, compared.pairs.target], 1).tolist()
    for row, count in zip(rows, compared.counts.tolist()):
        sums[tuple(row)] += count
    assert {row for row, count in sums.items() if count} == {(k, *pair) for k in range(LAYERS) for pair in expected}
    assert all(abs(count - 1) < 1e-6 or count == 0 for count in sums.values())
    assert float(compared.per_object) == pytest.approx(len(expected) / max(1, sum(counts)), abs=1e-6)
    each = len(compared.pairs) // LAYERS
    assert compared.pairs.layer.tolist() == [k for k in range(LAYERS) for _ in range(each)]


def predictions(counts, seed: int, layers: int):
    """Random predictions for images with so many objects, and the objects."""
    draw = torch.Generator().manual_seed(seed)
    return tiny.predictions(draw, len(counts), layers), tiny.targets(counts, 4, draw)


@cases
def test_boxes_are_compared_in_the_union_and_classes_in_each_layer(seed, counts):
    """The terms of each layer are means over the pairs of the union, whichever they are in this layer."""
    p, truth = predictions(counts, seed, LAYERS)
    a, m = match_to_truth({"it": (p, Matching())}, truth)["it"], Matching()
    queries = p.logits.shape[2]
    maps = set_loss(p, truth, a, m, union([a], truth, layers=LAYERS, queries=queries))
    own, pairs = set_loss(p, truth, a, m), release_union([a])
    torch.testing.assert_close(maps["class"], own["class"])
    for layer in range(LAYERS):
        expected = torch.zeros(len(counts), queries)
        for image, query, target in pairs:
            expected[image, query] = (p.boxes[layer, image, query] - truth.boxes[target]).abs().sum() / len(pairs)
        torch.testing.assert_close(maps["l1"][layer], expected)
    assert bool(sum(counts)) == bool(maps["giou"].sum() > 0)


def test_the_union_of_one_matching_is_this_matching():
    p, truth = predictions((3, 2), seed=3, layers=1)
    a, m = match_to_truth({"it": (p, Matching())}, truth)["it"], Matching()
    together = set_loss(p, truth, a, m, union([a], truth, layers=1, queries=p.logits.shape[2]))
    for name, own in set_loss(p, truth, a, m, BoxPairs(a)).items():
        torch.testing.assert_close(together[name], own)


def test_a_detector_with_union_compares_proposals_in_it_too():
    """The proposals of D-FINE are its queries' places, so a pair of a decoder layer has a proposal as well."""
    images, truth = tiny.batch(((128, 128), (128, 128)))
    traces = [
        tiny.distiller(tiny.detector("d_fine", layers=3, matching=Matching(union=together)))(images, truth)
        for together in (False, True)
    ]
    own, together = (trace.outcomes["detection"] for trace in traces)
    expected = release_union([own.pairs["truth"], own.pairs["proposal"]])
    for term in ("l1", "proposal_l1"):
        places = {tuple(x) for x in together.maps[term].sum(0).nonzero().tolist()}
        assert places == {(image, query) for image, query, _ in expected}
    torch.testing.assert_close(together.maps["class"], own.maps["class"])
    torch.testing.assert_close(together.maps["proposal_class"], own.maps["proposal_class"])
