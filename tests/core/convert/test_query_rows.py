"""More or fewer queries: what the detector had stays, and it decodes as many as are asked for."""

import pytest
import torch
from einops import rearrange

from core.convert.query_rows import query_tensors, with_queries
from tests.helpers import tiny

CASES = [(name, {}) for name in tiny.kinds()] + [("deformable", {"refine": True, "two_stage": True})]


@pytest.mark.parametrize("name, options", CASES, ids=[f"{name} {len(x)}" for name, x in CASES])
@pytest.mark.parametrize("count", [7, 12])
def test_the_first_queries_stay_and_as_many_as_are_asked_for_are_decoded(name, options, count, batch):
    detector = tiny.detector(name, **options)
    new, old, learnt = with_queries(detector, count), detector.state_dict(), query_tensors(detector)
    assert not new.training and new.config.queries == count
    assert bool(learnt) == (not detector.proposes or name in ("lw_detr", "rf_detr")), "the weights of queries are known"
    for key, x in new.state_dict().items():
        if key in learnt:
            rows, before = (rearrange(y, "(g q) c -> g q c", q=n) for y, n in ((x, count), (old[key], 10)))
            assert torch.equal(rows[:, :10], before[:, :count]), key
            assert count <= 10 or not torch.equal(rows[:, 10:], before[:, : count - 10]), "the others are new"
        else:
            assert torch.equal(x, old[key]), key
    with torch.no_grad():
        memory = new.encode(batch[0])
        assert new.decode(memory, new.propose(memory)).logits.shape[2] == count
