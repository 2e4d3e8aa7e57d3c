"""The benchmark of growth: each case runs, exponents are slopes, and the aims read the right rows."""

import json

import pytest

from analysis.bench import growth
from analysis.bench._growth_cases import CASES, measure


@pytest.mark.parametrize("power", [0.0, 1.0, 2.0])
def test_an_exponent_is_that_of_a_power(power):
    assert growth.exponent({size: 0.3 * size**power for size in (900, 100, 300)}) == pytest.approx(power)


@pytest.mark.parametrize("name", CASES)
def test_every_case_is_measured(name, tmp_path, capsys):
    """At its smallest size; a second call must do the same work, as short calls are repeated."""
    measure(name, CASES[name].quick[0], str(tmp_path))
    measured = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert 0 < measured["seconds"] < 60 and measured["bytes"] >= 0


def test_a_row_has_all_sizes_and_aims_read_the_largest():
    by_size = {10: {"seconds": 0.1, "bytes": 1e6}, 1000: {"seconds": 10.0, "bytes": 3e9}}
    made = growth.row("matching, by queries", by_size)
    assert made == {
        "case": "matching, by queries",
        "10_seconds": 0.1,
        "1000_seconds": 10.0,
        "10_MB": 1.0,
        "1000_MB": 3000.0,
        "exponent": 1.0,
    }
    assert [aim.met for aim in growth.aims([made])] == [True]
    assert [aim.met for aim in growth.aims([made | {"exponent": 1.2}])] == [False]


@pytest.mark.parametrize("seconds, megabytes, met", [(3.0, 1400, [True, True]), (4.0, 1600, [False, False])])
def test_reading_the_largest_file_has_an_aim_for_time_and_one_for_memory(seconds, megabytes, met):
    largest = max(CASES[growth.READS[0]].sizes)
    rows = [
        {"case": name, f"{largest}_seconds": seconds, f"{largest}_MB": megabytes - 100 * k, "exponent": 1.0}
        for k, name in enumerate(growth.READS)
    ]
    last_two = growth.aims(rows)[-2:]
    assert [aim.value for aim in last_two] == [3 * seconds, megabytes / 1000] and [aim.met for aim in last_two] == met
