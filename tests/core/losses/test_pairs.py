"""Every detector teaches every detector: one distilled step for each ordered pair of families."""

from functools import cache

import pytest

from core.errors import UserError
from tests.helpers import tiny

KINDS = tiny.kinds()


@cache
def built(kind: str, seed: int, queries: int):
    """A detector; built once, since building takes longer than a step."""
    return tiny.detector(kind, seed=seed, queries=queries, noise=1.0)


@pytest.mark.parametrize("student_kind", KINDS)
def test_a_student_learns_from_every_teacher(student_kind):
    """Logits and features of every teacher; the query prior of a teacher of the same family, which others refuse."""
    student, imitated = built(student_kind, 1, 10), 0.0
    for teacher_kind in KINDS:
        teacher, names = built(teacher_kind, 2, 12), ["detection", "logits", "features"]
        if teacher_kind == student_kind:
            names.append("prior")
        else:
            with pytest.raises(UserError, match="prior"):
                tiny.distiller(student, teacher, ["detection", "prior"])
        trace = tiny.distiller(student, teacher, names, features={"mask": "signed"}).train()(*tiny.batch())
        parts = trace.parts()
        assert all(x.isfinite() for x in parts.values()), teacher_kind
        assert all(parts[name] > 0 for name in parts if name.startswith(("logits/positive", "prior/"))), teacher_kind
        imitated += sum(float(x) for name, x in parts.items() if name.startswith("features/"))
        student.zero_grad()
        trace.total.backward()
        assert all(p.grad.isfinite().all() for p in student.parameters() if p.grad is not None), teacher_kind
        assert any(p.grad is not None and p.grad.abs().max() > 0 for p in student.parameters())
        assert all(p.grad is None for p in teacher.parameters()), teacher_kind
    assert imitated > 0, "a teacher without a good query has no place to imitate, but not every teacher"
