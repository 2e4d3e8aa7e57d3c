"""The benchmark of start-up waits for what it says, and notices a command that fails."""

import pytest

from analysis.bench import startup
from analysis.bench.startup import Start, timed, until_the_end, until_the_first_step, until_the_page_answers

STEP = """
import pathlib, time
log = pathlib.Path("runs/shapes/metrics.jsonl"); log.parent.mkdir(parents=True)
log.write_text('{"eval": "teacher"}\\n'); time.sleep(0.3)
log.write_text('{"terms": {}}\\n'); time.sleep(60)
"""
PAGE = """
import http.server, time
class Slow(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        time.sleep(0.3); self.send_response(200); self.end_headers(); self.wfile.write(b"page")
server = http.server.HTTPServer(("127.0.0.1", 0), Slow)
print(f"at http://127.0.0.1:{server.server_port}", flush=True); server.serve_forever()
"""


@pytest.mark.parametrize("script, wait", [(STEP, until_the_first_step), (PAGE, until_the_page_answers)])
def test_a_command_has_started_when_it_did_what_is_waited_for(script, wait):
    seconds, work = timed(Start(("-c", script), wait))
    assert 0.3 < seconds < 30 and 0 < work < seconds


def test_a_failure_is_no_start():
    with pytest.raises(RuntimeError, match="exit code 3"):
        timed(Start(("-c", "raise SystemExit(3)"), until_the_first_step))


def test_seconds_of_torch_are_not_ones_own(monkeypatch):
    spent = {"torch": "0", "other": "sum(range(20_000_000))"}
    monkeypatch.setattr(startup, "STARTS", {n: Start(("-c", code), until_the_end) for n, code in spent.items()})
    monkeypatch.setenv("QUICK", "1")
    (_, torch, other), aims = startup.run()
    assert (
        not aims and torch["own_seconds"] == 0 < other["own_seconds"] < other["work_seconds"] <= other["seconds"] + 0.01
    )
    assert torch["case"] == "torch"


def test_another_checkout_takes_turns_with_this_one(monkeypatch, tmp_path):
    """Each command runs with its own checkout's modules; both have rows without torch's own seconds."""
    for folder, work in ((tmp_path / "now", 1), (tmp_path / "then", 20_000_000)):
        folder.mkdir()
        (folder / "started.py").write_text(f"sum(range({work}))")
    starts = {"torch": Start(("-c", "0"), until_the_end), "start": Start(("-m", "started"), until_the_end)}
    monkeypatch.setattr(startup, "STARTS", starts)
    monkeypatch.setattr(startup, "ROOT", tmp_path / "now")
    monkeypatch.setenv("QUICK", "1")
    (_, torch, start), _ = startup.run_beside(tmp_path / "then")
    assert start["before_own_seconds"] > start["own_seconds"] + 0.1 and torch["before_own_seconds"] == 0
