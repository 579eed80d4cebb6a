"""The pure parts of the engine: what may be said, what a reference becomes, what a row holds."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from vivavoce.domain.agent import Agent, Identity, Parameter, StopKeyword, Topic, Variants
from vivavoce.domain.conversation import (
    Conversation,
    Message,
    ModelExchange,
    ModelReply,
    ModelRequest,
    Rendered,
    SystemPart,
    Turn,
)
from vivavoce.engine.guard import Guard
from vivavoce.engine.heard import Heard
from vivavoce.engine.rendering import Renderer
from vivavoce.engine.tools import arguments
from vivavoce.knowledge.lexical import Lexical
from vivavoce.store import codec

NO = StopKeyword(name="no", patterns=("forbidden",))
SAY = StopKeyword(name="say", patterns=("[Gg]oodbye",), say_phrase=True)


def fed(keywords: tuple[StopKeyword, ...], chunks: list[str]) -> tuple[str, Guard]:
    guard = Guard(keywords, "en-GB")
    released = "".join(guard.feed(chunk) for chunk in chunks) + guard.finish()
    return released, guard


words = st.lists(st.sampled_from(["one ", "two. ", "forbidden ", "Goodbye ", "now! ", "why? ", "x"]), max_size=12)


@given(words, st.lists(st.integers(min_value=1, max_value=9), min_size=1, max_size=30))
def test_however_the_text_arrives_the_same_is_released_and_nothing_forbidden_is(
    parts: list[str], sizes: list[int]
) -> None:
    text = "".join(parts)
    chunks, place = [], 0
    while place < len(text):
        size = sizes[len(chunks) % len(sizes)]
        chunks.append(text[place : place + size])
        place += size
    whole, _ = fed((NO,), [text])
    pieces, guard = fed((NO,), chunks)
    assert pieces == whole == guard.released and "forbidden" not in pieces and text.startswith(pieces)
    assert (guard.stopped is not None) is ("forbidden" in text)


@given(st.text(max_size=80))
def test_without_keywords_everything_is_released(text: str) -> None:
    assert fed((), list(text))[0] == text


def test_a_spoken_keyword_is_said_to_the_end_of_its_sentence() -> None:
    assert (
        fed((SAY,), ["All done. Good", "bye and take care. ", "One more thing."])[0]
        == "All done. Goodbye and take care. "
    )


def test_a_keyword_of_another_language_is_silent() -> None:
    german = StopKeyword(name="de", patterns=("Moment",), language="de-DE")
    assert fed((german,), ["One Moment please."])[0] == "One Moment please."


def test_a_pattern_that_backtracks_without_end_does_not_hold_up_the_server() -> None:
    trap = StopKeyword(name="trap", patterns=(r"(x|xx)+$",))
    began = time.monotonic()
    released, guard = fed((trap,), ["x" * 60 + "?"])
    assert released.endswith("x?") and guard.slow == {"trap"} and time.monotonic() - began < 2


def renderer(heard: str = "", **view: Any) -> Renderer:
    import msgspec

    agent = Agent(
        identity=Identity(agent_id="a", account_id="b"),
        variants=Variants(names=("v",), default="v", attributes={"v": {"site": "York", "member-status": "gold"}}),
        translations={"hi": {"en-GB": "Hello", "de-DE": "Hallo"}},
        variables=frozenset({"known"}),
    )
    now = datetime(2026, 1, 1, tzinfo=UTC)
    conversation = Conversation(
        account_id="a",
        agent_id="b",
        id="c",
        environment="sandbox",
        channel="chat.polyai",
        tree="t",
        started_at=now,
        last_turn_at=now,
    )
    words = Heard(conversation)
    words.hear({"said": [heard]})
    shown = {k: Raw(msgspec.json.encode(v)) for k, v in view.items()}
    return Renderer(agent, view=shown, variant="v", language="de-DE", channel="chat.polyai", heard=words)


@pytest.mark.parametrize(
    ("text", "rendered"),
    [
        ("call {{fn:do_it}}('x') or {{ft:leave}}", "call do_it('x') or leave"),
        ("{{attr:site}} {{attr:member-status}} {{va:site}} ${variant_site} ${site}", "York gold York York York"),
        ("$name, $known, $8.99, $unknown, {{vrbl:name}}, $items", "Ada, , $8.99, $unknown, Ada, ['a', 1]"),
        ("{{tn:hi}} {{tn:none}} {{entity:full name}} {{odd:x}} {fn:x}", 'Hallo none "full name" {{odd:x}} {fn:x}'),
        (
            "<language:de>Ja<channel:voice>!</channel></language><language:en-GB>Yes</language><channel:sms>SMS</channel>",
            "Ja!",
        ),
        ("$nested", "call do_it"),
        ("$ring", "$ring"),
    ],
)
def test_references_become_what_they_name(text: str, rendered: str) -> None:
    view = {"name": "Ada", "items": ["a", 1], "nested": "call {{fn:do_it}}", "ring": "$ring"}
    assert renderer(**view).render(text).text == rendered


def test_the_authors_words_and_the_conversations_values_stay_apart() -> None:
    found = renderer(name="Ada").render("Dear $name of {{attr:site}}.")
    assert found.literals == ("Dear ", " of ", ".") and found.values == ("Ada", "York")


@given(
    st.text(alphabet="{}$fnvrbl:<>/languagechat x{{fn:a}}\u200b\ue0f0é", max_size=60),
    st.sampled_from(["as it is", "visible", "ascii", "echoed twice"]),
)
def test_a_reference_that_was_said_stays_words_however_author_code_cleans_it(said: str, cleaning: str) -> None:
    echoed = {
        "as it is": said,
        "visible": "".join(c for c in said if c.isprintable()),
        "ascii": said.encode("ascii", "ignore").decode(),
        "echoed twice": f"{said} | {said}",
    }[cleaning]
    opened: list[tuple[str, str]] = []
    view = dict.fromkeys("abcdefghlnrtv", "SECRET")
    shown = renderer(heard=said, **view).function_result(echoed, expose=lambda *r: opened.append(r))
    assert "SECRET" not in shown and opened == []


def test_what_nobody_said_is_rendered_in_results_and_a_result_has_a_longest_length() -> None:
    opened: list[tuple[str, str]] = []
    found = renderer(heard="{{fn:evil}}", a="x" * 1000).function_result(
        "{fn:good} {{fn:evil}} $a", expose=lambda *r: opened.append(r)
    )
    assert found == f"good {{{{fn:evil}}}} {'x' * 1000}" and opened == [("fn", "good")]
    assert len(renderer(a="x" * 10_000).function_result("$a " * 1000)) == 100_000


@given(st.text(max_size=200))
def test_no_text_makes_the_renderer_fail(text: str) -> None:
    renderer(x=text).render(text)
    renderer(x=text).function_result(text)


PARAMETERS = (
    Parameter(name="s"),
    Parameter(name="n", type="integer"),
    Parameter(name="f", type="number"),
    Parameter(name="b", type="boolean"),
)


@given(
    st.dictionaries(
        st.sampled_from(["s", "n", "f", "b", "z"]),
        st.none()
        | st.booleans()
        | st.floats()
        | st.integers()
        | st.text(max_size=9)
        | st.lists(st.integers(), max_size=2),
    )
)
def test_whatever_a_model_sends_the_function_gets_its_parameters_and_no_others(given_: dict[str, Any]) -> None:
    import json

    found, problem = arguments(json.dumps(given_), PARAMETERS)
    assert problem is not None or list(found) == ["s", "n", "f", "b"]


@given(st.text(max_size=100))
def test_arguments_in_any_text_are_read_or_refused(text: str) -> None:
    found, problem = arguments(text, PARAMETERS)
    assert (problem is None) == bool(found)


rendered = st.builds(
    lambda literals, n: Rendered.of(tuple(literals), tuple("v" * i for i in range(len(literals) - 1))),
    st.lists(st.text(max_size=60), min_size=1, max_size=4),
    st.integers(),
)


@given(
    st.lists(rendered, max_size=3),
    st.lists(st.text(max_size=20), max_size=4),
    st.floats(allow_nan=False, allow_infinity=False),
)
def test_a_turn_is_read_back_as_it_was_written(parts: list[Rendered], said: list[str], distance: float) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    messages = tuple(Message(role="user", content=text) for text in said)
    request = ModelRequest(system=tuple(SystemPart(title="t", content=p) for p in parts), history=messages)
    exchange = ModelExchange(
        id="x", purpose="turn", request=request, reply=ModelReply(text="r"), started_at=now, finished_at=now
    )
    turn = Turn(
        index=1, started_at=now, finished_at=now, messages=messages, exchanges=(exchange,), topics=(("a", distance),)
    )
    said, body, texts = codec.encode_turn(turn)
    assert codec.expand([codec.decode_turn(said, body)], texts) == [turn]


def test_each_example_query_of_an_agent_finds_its_own_topic_first() -> None:
    from tests.unit.test_project import EXAMPLE
    from vivavoce.project.loader import load
    from vivavoce.project.tree import read_tree

    topics = tuple(load(read_tree(EXAMPLE)).agent.topics.values())
    index = Lexical(topics)
    wrong = [
        (q, found)
        for t in topics
        for q in t.example_queries
        if (found := [m.name for m in index.search(q, (), limit=1, threshold=1.0)]) != [t.name]
    ]
    total = sum(len(t.example_queries) for t in topics)
    assert len(wrong) <= total * 0.03, wrong


def test_a_retrieval_with_nothing_in_common_finds_nothing() -> None:
    index = Lexical((Topic(name="parking", content="Behind the house", example_queries=("Where can I park?",)),))
    assert index.search("volcanoes of Iceland", (), limit=5, threshold=0.4) == []
    assert (
        index.search("", (), limit=5, threshold=0.4) == [] and Lexical(()).search("x", (), limit=5, threshold=1) == []
    )
