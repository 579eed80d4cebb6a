"""The small parts under the console: histograms, graphs, outlines, ranges, what is written on pages."""

from __future__ import annotations

import math
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vivavoce.audio.peaks import Outline
from vivavoce.console import showing
from vivavoce.domain.deployment import Tree
from vivavoce.domain.tally import added, percentile, step_of
from vivavoce.project import graphs
from vivavoce.project.loader import load
from vivavoce.wire.ranges import RangeUnsatisfiable, part_of

durations = st.floats(1, 600_000)


@given(st.lists(durations, min_size=1, max_size=200), st.sampled_from((0.5, 0.95)))
def test_a_percentile_of_the_histogram_is_within_a_step_of_the_true_one(taken: list[float], share: float) -> None:
    counts: dict[int, int] = {}
    for value in taken:
        counts[step_of(value)] = counts.get(step_of(value), 0) + 1
    true = sorted(taken)[math.ceil(share * len(taken)) - 1]
    found = percentile(counts, share)
    assert found is not None and 1 / 1.03 <= found / true <= 1.03


def test_nothing_has_no_percentile_and_counts_add_up() -> None:
    assert percentile({}, 0.5) is None
    assert added([{"a": 1}, {"a": 2, "b": 3}, {}]) == {"a": 3, "b": 3}


@given(st.lists(st.integers(-32768, 32767), max_size=400), st.integers(1, 50), st.lists(st.integers(1, 97), min_size=1))
def test_an_outline_holds_the_loudest_of_each_stretch_however_it_is_fed(
    values: list[int], points: int, sizes: list[int]
) -> None:
    samples = len(values) // 2
    sound = np.array(values[: samples * 2], dtype="<i2").tobytes()
    outline = Outline(channels=2, samples=samples, points=points)
    at = n = 0
    while at < len(sound):
        size = sizes[n % len(sizes)]
        outline.add(sound[at : at + size])
        at, n = at + size, n + 1
    assert len(outline.peaks[0]) <= points
    for channel in range(2):
        own = [abs(v) for v in values[channel : samples * 2 : 2]]
        assert max(outline.peaks[channel], default=0) == round(max(own, default=0) / 32768, 3)


@given(st.integers(1, 1000), st.integers(0, 1200), st.integers(0, 1200))
def test_a_part_of_a_file_lies_within_it(size: int, first: int, last: int) -> None:
    asked = {"range": f"bytes={first}-{last}"}
    if first >= size or last < first:
        with pytest.raises(RangeUnsatisfiable):
            part_of("GET", asked, size=size, etag="x")
        return
    part = part_of("GET", asked, size=size, etag="x")
    assert part.status == 206 and (part.start, part.start + part.length) == (first, min(last + 1, size))
    assert part.headers["Content-Range"] == f"bytes {first}-{min(last, size - 1)}/{size}"
    assert part_of("GET", {"if-none-match": '"x"'}, size=size, etag="x").status == 304
    assert part_of("GET", {**asked, "if-range": '"y"'}, size=size, etag="x").status == 200
    assert part_of("HEAD", {}, size=size, etag="x").length == 0


@given(st.text(max_size=60), st.lists(st.text(max_size=8), max_size=3))
def test_whatever_is_marked_is_escaped_and_nothing_of_it_is_lost(text: str, words: list[str]) -> None:
    found = showing.marked(text, [words])
    plain = str(found).replace("<mark>", "").replace("</mark>", "")
    assert "<" not in plain and showing.Markup(found).unescape().replace("<mark>", "").replace(
        "</mark>", ""
    ) == text.replace("<mark>", "").replace("</mark>", "")


def test_times_durations_and_sizes_are_written_for_people() -> None:
    zone = ZoneInfo("Europe/Madrid")
    assert "26 Nov 2026, 20:00:31" in showing.moment("2026-11-26T19:00:31Z", zone)
    assert showing.moment(None, zone) == "–"
    assert [showing.duration(s) for s in (None, 0, 61, 3725)] == ["–", "0:00", "1:01", "1:02:05"]
    assert [showing.milliseconds(v) for v in (None, 0.4, 40, 1500)] == ["–", "0.4 ms", "40 ms", "1.5 s"]
    assert [showing.size(n) for n in (12, 1_500, 2_000_000_000)] == ["12 B", "1.5 KB", "2.0 GB"]
    assert showing.short_json({"a": "x" * 400}).endswith("…") and len(showing.as_json("x" * 50_000)) < 21_000


FLOW = {
    "project.yaml": "project_id: x\naccount_id: a\nregion: local\n",
    "flows/book/flow_config.yaml": "name: book\ndescription: d\nstart_step: Ask\n",
    "flows/book/steps/ask.yaml": "step_type: advanced_step\nname: Ask\nprompt: Call {{ft:save}} or {{fn:leave}}.\n",
    "flows/book/steps/end.yaml": (
        "step_type: default_step\nname: End\nprompt: Bye.\nconditions:\n"
        "  - {condition_type: step_condition, name: again, child_step: Ask}\n"
        "  - {condition_type: exit_flow_condition, name: done}\n"
    ),
    "flows/book/functions/save.py": (
        'from _gen import *\n\n@func_description("d")\ndef save(conv, flow):\n    flow.goto_step("end")\n    flow.goto_step("check")\n'
    ),
    "flows/book/function_steps/check.py": 'def check(conv, flow):\n    flow.goto_step("Ask")\n    conv.exit_flow()\n',
    "functions/leave.py": 'from _gen import *\n\n@func_description("d")\ndef leave(conv):\n    conv.goto_flow("other")\n',
}  # fmt: skip


def test_a_flow_is_a_graph_of_its_conditions_and_of_the_moves_that_its_functions_name() -> None:
    files = {path: text.encode() for path, text in FLOW.items()}
    agent = load(Tree(hash="t", files=files)).agent
    code = {path: content for path, content in files.items() if path.endswith(".py")}
    found = {(e.source, e.target, e.label) for e in graphs.edges(agent, code)["book"]}
    assert found == {
        ("Ask", "End", "save"), ("Ask", "check", "save"), ("Ask", graphs.EXIT, "leave"), ("End", "Ask", "again"),
        ("End", graphs.EXIT, "done"), ("check", "Ask", ""), ("check", graphs.EXIT, ""),
    }  # fmt: skip
