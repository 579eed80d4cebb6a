"""What a turn does, told as conversations with a scripted model and real author functions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.talk import Talk, run, script, serving, write
from vivavoce.errors import ConversationEnded

RULES = "Call {{fn:act}}, {{fn:other}} or {{fn:third}}."
FLOW = {
    "flows/f/flow_config.yaml": "name: Flow F\ndescription: d\nstart_step: First\n",
    "flows/f/steps/first.yaml": "step_type: advanced_step\nname: First\nprompt: 'FIRST $who. Call {{ft:go}} or {{ft:leave}}.'\n",
    "flows/f/steps/second.yaml": "step_type: advanced_step\nname: Second\nprompt: 'SECOND. Call {{ft:leave}}.'\n",
    "flows/f/functions/go.py": "def go(conv, flow):\n    flow.goto_step('Second')\n",
    "flows/f/functions/leave.py": "def leave(conv, flow):\n    conv.exit_flow()\n    return 'left'\n",
}


def function(body: str, name: str = "act", parameters: str = "") -> str:
    lines = "\n".join(f"    {line}" for line in body.strip().split("\n"))
    return f"from _gen import *\n\n@func_description('does it')\ndef {name}(conv: Conversation{parameters}):\n{lines}\n"


CALLS = """
rules:
  - when: {said: "act (?P<word>.+)", tool: act}
    call: {name: act, arguments: {word: "{word}"}}
  - when: {said: "^act", tool: act}
    call: {name: act}
  - when: {said: "^go", tool: go}
    call: {name: go}
  - when: {said: "^leave", tool: leave}
    call: {name: leave}
  - when: {said: "both"}
    calls: [{name: act}, {name: other}]
  - when: {said: "dream"}
    call: {name: no_such_function}
  - when: {result_of: no_such_function}
    say: "RESULT {result}"
  - when: {result_of: act}
    say: "after act: {result}"
  - when: {result_of: other}
    say: "after other: {result}"
  - when: {result_of: go}
    say: "gone on"
  - when: {result_of: leave}
    say: "out: {result}"
otherwise: "plain words"
"""


def converse(
    folder: Path,
    files: dict[str, str],
    *lines: str,
    model: str = CALLS,
    opening: dict[str, Any] | None = None,
    **overrides: Any,
) -> Talk:
    """Holds the conversation to its last line and gives it back."""

    async def hold() -> Talk:
        agent = write(folder, {"agent_settings/rules.txt": RULES, **files})
        async with serving(agent, script(model), **overrides) as talk:
            one = talk()
            await one.open(**(opening or {}))
            for line in lines:
                await one.say(line)
            return one

    talk: Talk = run(hold())
    return talk


def after(body: str, tmp_path: Path, *, more: dict[str, str] | None = None, say: str = "act") -> dict[str, Any]:
    """The reply to a turn in which `act` ran with that body."""
    return converse(tmp_path, {"functions/act.py": function(body), **FLOW, **(more or {})}, say).replies[-1]


def prompts(reply: dict[str, Any], number: int = -1) -> dict[str, str]:
    """The system prompts of one of the turn's model requests, by title."""
    return {
        p["title"]: p["content"] for p in reply["metadata"]["llmRequests"][number]["llm_request"]["base_system_prompts"]
    }


# What a function returns.


def test_a_string_goes_to_the_model_which_then_speaks(tmp_path: Path) -> None:
    assert after("return 'facts'", tmp_path)["response"] == "after act: facts"


def test_an_utterance_is_said_as_it_is_and_the_model_is_not_asked_again(tmp_path: Path) -> None:
    reply = after("return {'utterance': 'Exactly this.'}", tmp_path)
    assert reply["response"] == "Exactly this." and len(reply["metadata"]["llmRequests"]) == 1


def test_an_empty_utterance_says_nothing_and_ends_the_turn(tmp_path: Path) -> None:
    reply = after("return {'utterance': ''}", tmp_path)
    assert reply["response"] == "" and not reply["conversationEnded"] and len(reply["metadata"]["llmRequests"]) == 1


def test_with_end_turn_false_the_model_goes_on_in_the_same_turn(tmp_path: Path) -> None:
    reply = after("return {'utterance': 'Wait.', 'end_turn': False, 'content': 'more'}", tmp_path)
    assert reply["response"] == "Wait. after act: more"


def test_content_beside_an_utterance_is_there_for_the_next_turn(tmp_path: Path) -> None:
    talk = converse(
        tmp_path, {"functions/act.py": function("return {'utterance': 'Said.', 'content': 'kept'}")}, "act", "hello"
    )
    history = talk.replies[-1]["metadata"]["llmRequests"][0]["llm_request"]["conversation_history"]
    assert [m["content"] for m in history][-4:] == ["", "kept", "Said.", "hello"]


def test_nothing_and_a_transition_continue_under_the_new_step(tmp_path: Path) -> None:
    reply = after("conv.state.who = 'Ada'\nconv.goto_flow('Flow F')", tmp_path)
    assert (reply["metadata"]["inFlow"], reply["metadata"]["inStep"]) == ("Flow F", "First")
    assert "step" not in prompts(reply, 0) and "FIRST Ada. Call go or leave." in prompts(reply, 1)["step"]


def test_hangup_ends_after_the_utterance_and_further_messages_are_410(tmp_path: Path) -> None:
    async def hold() -> None:
        files = {
            "agent_settings/rules.txt": RULES,
            "functions/act.py": function("return {'utterance': 'Bye.', 'hangup': True}"),
        }
        async with serving(write(tmp_path, files), script(CALLS)) as talk:
            one = talk()
            await one.open()
            reply = await one.say("act")
            assert reply["conversationEnded"] and reply["response"] == "Bye."
            with pytest.raises(ConversationEnded):
                await one.say("hello?")

    run(hold())


HANDOFFS = """handoffs:
- name: Front desk
  is_default: true
  sip_config: {method: refer, phone_number: '+44'}
  sip_headers: [{key: X-Who, value: $who}, {key: X-Site, value: here}]
- name: Kitchen
  sip_config: {method: invite, phone_number: '+45', outbound_endpoint: sip.example.org, outbound_encryption: TLS/SRTP}
"""
WAY = {"phone_number": "+44", "sip_headers": {"X-Who": "Ada", "X-Site": "here"}}


@pytest.mark.parametrize(
    ("body", "handed"),
    [
        ("return {'handoff': True}", {"type": "Front desk", "reason": "", "refer": WAY}),
        ("conv.call_handoff('Front desk', 'r')", {"type": "Front desk", "reason": "r", "refer": WAY}),
        (
            "conv.call_handoff('default', route='+99', sip_headers={'X-Site': 'there', 'X-More': '$who'})",
            {"type": "Front desk", "reason": "default", "refer": {"phone_number": "+99", "sip_headers": {"X-Who": "Ada", "X-Site": "there", "X-More": "Ada"}}},
        ),
        ("conv.call_handoff('kitchen')", {"type": "Kitchen", "reason": "kitchen", "invite": {"phone_number": "+45", "outbound_endpoint": "sip.example.org", "outbound_encryption": "TLS/SRTP", "sip_headers": {}}}),
        (
            "return {'handoff': {'type': 'elsewhere', 'cxone': {'skill': 7}}}",
            {"type": "elsewhere", "reason": "", "cxone": {"skill": 7}},
        ),
    ],
)  # fmt: skip
def test_a_handoff_goes_the_configured_way_with_rendered_headers(
    body: str, handed: dict[str, Any], tmp_path: Path
) -> None:
    reply = after(f"conv.state.who = 'Ada'\n{body}", tmp_path, more={"config/handoffs.yaml": HANDOFFS})
    assert reply["metadata"]["handoff"] == handed and reply["conversationEnded"]
    assert reply["metadata"]["metrics"]["HANDOFF_TO"] == handed["type"]


def test_the_models_own_handoff_goes_the_configured_way_too(tmp_path: Path) -> None:
    files = {"config/handoffs.yaml": HANDOFFS, "agent_settings/rules.txt": "Use {{ho:Front desk}}."}
    arguments = "{handoff_destination: Front desk, reason: asked, utterance: Moment.}"
    model = f"rules:\n  - when: {{said: person}}\n    call: {{name: builtin_handoff, arguments: {arguments}}}\notherwise: x\n"
    reply = converse(tmp_path, files, "person", model=model).replies[1]
    assert reply["metadata"]["handoff"]["refer"]["phone_number"] == "+44" and reply["response"] == "Moment."
    assert reply["metadata"]["metrics"] == {"HANDOFF_TO": "Front desk", "HANDOFF_REASON": "asked"}


@pytest.mark.parametrize(
    ("body", "destination", "ended"),
    [
        ("return {'utterance': 'Moment.', 'handoff': {'type': 'sales', 'reason': 'buy'}}", "sales", True),
        ("return {'utterance': 'Moment.', 'handoff': True}", "Front desk", True),
        ("conv.call_handoff('DEFAULT', reason='help', utterance='Moment.')", "Front desk", True),
        ("return conv.call_handoff('front DESK', utterance='Moment.')", "Front desk", True),
        ("return conv.call_handoff('nowhere known', utterance='Moment.')", "nowhere known", True),
        ("return {'utterance': 'Moment.', 'handoff': {'bye': {}}}", "", True),
    ],
)
def test_a_handoff_ends_our_part_and_names_its_destination(
    body: str, destination: str, ended: bool, tmp_path: Path
) -> None:
    handoffs = "handoffs:\n- name: Front desk\n  is_default: true\n  sip_config: {method: refer, phone_number: '+44'}\n"
    reply = after(body, tmp_path, more={"config/handoffs.yaml": handoffs})
    metadata = reply["metadata"]
    assert reply["response"] == "Moment." and reply["conversationEnded"] is ended
    assert metadata["handoffDestination"] == destination
    assert metadata["metrics"].get("HANDOFF_TO") == (destination or None)


@pytest.mark.parametrize(
    ("body", "content"), [("return 42", "42"), ("return [1, 'a']", '[1,"a"]'), ("return True", "true")]
)
def test_an_odd_return_value_reaches_the_model_as_json_with_a_notice(body: str, content: str, tmp_path: Path) -> None:
    reply = after(body, tmp_path)
    assert reply["response"] == f"after act: {content}"
    assert [n["code"] for n in reply["metadata"]["notices"]] == ["return_type"]


def test_a_key_whose_value_is_none_is_as_if_it_were_absent(tmp_path: Path) -> None:
    reply = after(
        "conv.goto_flow('Flow F')\nreturn {'content': 'x', 'transition': None, 'handoff': None, 'hangup': None}",
        tmp_path,
    )
    assert reply["metadata"]["inFlow"] == "Flow F" and not reply["conversationEnded"]


def test_a_returned_key_beats_what_was_queued(tmp_path: Path) -> None:
    body = "conv.say('queued')\nconv.goto_flow('Nope')\nreturn {'utterance': 'returned', 'transition': {'goto_flow': 'Flow F', 'goto_step': 'Second'}}"
    reply = after(body, tmp_path)
    assert reply["response"] == "returned" and reply["metadata"]["inStep"] == "Second"


def test_listen_marks_a_delayed_response(tmp_path: Path) -> None:
    reply = after("return {'utterance': '', 'listen': {'delayed_response': True, 'asr': {'timeout': 0.1}}}", tmp_path)
    assert reply["delayedResponse"] is True and reply["metadata"]["functionEvents"][0]["listen"]["asr"] == {
        "timeout": 0.1
    }


# Flows and steps.


def test_a_step_prompt_is_last_only_while_its_step_is_active(tmp_path: Path) -> None:
    talk = converse(
        tmp_path, {"functions/act.py": function("conv.goto_flow('Flow F')"), **FLOW}, "act", "go", "leave", "hello"
    )
    assert [r["metadata"]["inStep"] for r in talk.replies[1:]] == ["First", "Second", "", ""]
    assert "SECOND" in prompts(talk.replies[3], 0)["step"] and "step" not in prompts(talk.replies[3], 1)
    tools = [t["name"] for t in talk.replies[2]["metadata"]["llmRequests"][0]["llm_request"]["functions"]]
    assert tools == ["act", "go", "leave"]  # the rules' functions stay callable in a step


def test_a_step_that_does_not_exist_changes_nothing(tmp_path: Path) -> None:
    body = "conv.goto_flow('Flow F')"
    broken = {
        **FLOW,
        "flows/f/functions/go.py": "def go(conv, flow):\n    flow.goto_step('Type in the next step name here')\n    return 'x'\n",
    }
    talk = converse(tmp_path, {"functions/act.py": function(body), **broken}, "act", "go")
    assert talk.replies[-1]["metadata"]["inStep"] == "First"
    assert [n["code"] for n in talk.replies[-1]["metadata"]["notices"]] == ["unknown_step"]


def test_goto_step_after_goto_flow_is_a_step_of_the_new_flow(tmp_path: Path) -> None:
    other = {
        "flows/g/flow_config.yaml": "name: G\ndescription: d\nstart_step: Here\n",
        "flows/g/steps/here.yaml": "step_type: advanced_step\nname: Here\nprompt: 'Call {{ft:over}}'\n",
        "flows/g/functions/over.py": "def over(conv, flow):\n    conv.goto_flow('Flow F')\n    flow.goto_step('Second')\n    return {'utterance': 'over'}\n",
    }
    model = CALLS.replace("rules:", "rules:\n  - when: {said: over, tool: over}\n    call: {name: over}", 1)
    talk = converse(
        tmp_path, {"functions/act.py": function("conv.goto_flow('G')"), **FLOW, **other}, "act", "over", model=model
    )
    assert (talk.replies[-1]["metadata"]["inFlow"], talk.replies[-1]["metadata"]["inStep"]) == ("Flow F", "Second")


STEPS = {
    "flows/s/flow_config.yaml": "name: S\ndescription: d\nstart_step: entry\n",
    "flows/s/steps/ask.yaml": "step_type: advanced_step\nname: Ask\nprompt: ASK NOW\n",
    "flows/s/function_steps/entry.py": "def entry(conv, flow):\n    flow.goto_step('route')\n",
    "flows/s/function_steps/route.py": "def route(conv, flow):\n    flow.goto_step('Ask')\n    return {'content': 'routed'}\n",
}


def test_function_steps_run_in_a_chain_without_the_model(tmp_path: Path) -> None:
    reply = after("conv.goto_flow('S')\nreturn {'utterance': 'One moment.'}", tmp_path, more=STEPS)
    assert [e["name"] for e in reply["metadata"]["functionEvents"]] == ["act", "entry", "route"]
    assert reply["response"] == "One moment." and reply["metadata"]["inStep"] == "Ask"


def test_a_function_step_without_a_transition_is_run_again_on_the_next_turn(tmp_path: Path) -> None:
    stuck = {
        **STEPS,
        "flows/s/function_steps/entry.py": "def entry(conv, flow):\n    conv.state.runs = (conv.state.runs or 0) + 1\n    return 'waiting'\n",
    }
    talk = converse(tmp_path, {"functions/act.py": function("conv.goto_flow('S')"), **stuck}, "act", "hello")
    assert talk.state["runs"] == 2 and talk.replies[-1]["metadata"]["inStep"] == "entry"


def test_a_ring_of_function_steps_is_cut(tmp_path: Path) -> None:
    ring = {**STEPS, "flows/s/function_steps/route.py": "def route(conv, flow):\n    flow.goto_step('entry')\n"}
    reply = after("conv.goto_flow('S')", tmp_path, more=ring)
    assert "step_chain" in [n["code"] for n in reply["metadata"]["notices"]] and reply["metadata"]["inFlow"] == ""


# Models that misbehave.


def test_a_call_of_a_function_that_does_not_exist_does_not_fail_the_turn(tmp_path: Path) -> None:
    reply = after("return 'x'", tmp_path, say="dream")
    assert reply["response"].startswith("RESULT There is no function called no_such_function")
    assert (
        reply["metadata"]["functionEvents"] == []
        and "unknown_function:no_such_function" in reply["metadata"]["nodeTrace"]
    )


def test_of_several_calls_the_rest_are_skipped_once_one_has_spoken(tmp_path: Path) -> None:
    files = {
        "functions/act.py": function("return {'utterance': 'First.'}"),
        "functions/other.py": function("return 'second'", "other"),
    }
    reply = converse(tmp_path, files, "both").replies[-1]
    assert reply["response"] == "First." and [e["name"] for e in reply["metadata"]["functionEvents"]] == ["act"]


@pytest.mark.parametrize(
    ("given", "seen"),
    [
        ('{"n": "4", "b": "true", "s": 7, "f": 2}', "4 True '7' 2.0"),
        ("{}", "0 False '' 0.0"),
        ('{"n": 4.0, "x": 1}', "4 False '' 0.0"),
    ],
)
def test_arguments_are_taken_as_their_declared_types(given: str, seen: str, tmp_path: Path) -> None:
    code = function("return f'{n} {b} {s!r} {f}'", parameters=", n: int, b: bool, s: str, f: float")
    model = f"rules:\n  - when: {{said: act}}\n    call: {{name: act, arguments: '{given}'}}\n  - when: {{result_of: act}}\n    say: '{{result}}'\n"
    assert converse(tmp_path, {"functions/act.py": code}, "act", model=model).replies[-1]["response"] == seen


def test_arguments_that_are_no_json_are_told_to_the_model(tmp_path: Path) -> None:
    model = "rules:\n  - when: {said: act}\n    call: {name: act, arguments: '{\"n\": '}\n  - when: {result: 'not valid JSON'}\n    say: 'sorry'\n"
    reply = converse(tmp_path, {"functions/act.py": function("return 'x'")}, "act", model=model).replies[-1]
    assert reply["response"] == "sorry" and reply["metadata"]["functionEvents"] == []


def test_a_model_that_never_stops_calling_is_stopped(tmp_path: Path) -> None:
    model = "rules:\n  - when: {said: act}\n    call: {name: act}\n  - when: {result_of: act}\n    call: {name: act}\n"
    reply = converse(tmp_path, {"functions/act.py": function("return 'again'")}, "act", model=model).replies[-1]
    assert "loop_limit" in [n["code"] for n in reply["metadata"]["notices"]] and "trouble" in reply["response"]
    assert len(reply["metadata"]["llmRequests"]) == 8


def test_a_model_that_fails_for_good_gets_an_apology_and_the_conversation_goes_on(tmp_path: Path) -> None:
    model = "rules:\n  - when: {said: break}\n    fail: unavailable\notherwise: fine\n"
    talk = converse(tmp_path, {}, "break", "hello", model=model)
    failed, fine = talk.replies[-2:]
    assert failed["response"].startswith("I'm sorry") and failed["metadata"]["notices"][0]["code"] == "model_failed"
    assert failed["metadata"]["llmRequests"][0]["error"] and fine["response"] == "fine"


# Stop keywords.

FILTER = 'phrase_filtering:\n- name: promise\n  regular_expressions: ["I\'ll check"]\n  say_phrase: {say}\n  function: {function}\n'


def stop(
    tmp_path: Path, text: str, *, say: str = "false", body: str = "return {'utterance': 'Checked.'}"
) -> dict[str, Any]:
    model = f'rules:\n  - when: {{said: hi}}\n    say: "{text}"\n  - when: {{result_of: act}}\n    say: "corrected: {{result}}"\n'
    files = {
        "functions/act.py": function(body, parameters=", reason: str"),
        "voice/response_control/phrase_filtering.yaml": FILTER.format(say=say, function="act"),
    }
    return converse(tmp_path, files, "hi", model=model).replies[-1]


def test_a_suppressed_phrase_is_dropped_from_its_sentence_on_and_its_function_answers(tmp_path: Path) -> None:
    assert stop(tmp_path, "Good question. Well, I'll check that for you.")["response"] == "Good question. Checked."
    assert (
        stop(tmp_path, "Well, I'll check that.", body="return 'call the tool'")["response"]
        == "corrected: call the tool"
    )


def test_a_spoken_phrase_is_said_to_the_end_of_its_sentence_with_the_functions_words_after_it(tmp_path: Path) -> None:
    reply = stop(tmp_path, "Fine. I'll check that now. And then some more.", say="true")
    assert reply["response"] == "Fine. I'll check that now. Checked."
    assert "stop_keyword:promise" in reply["metadata"]["nodeTrace"]


@pytest.mark.parametrize(
    ("say", "words", "reply", "requests"),
    [
        (
            "true",
            "Well. I'll check that now. And more.",
            "Well. I'll check that now.",
            1,
        ),  # said to the end of its sentence
        ("false", "Well. I'll check that now. And more.", "Well.", 1),  # kept back from the start of its sentence
        ("false", "I'll check that now.", "I'm sorry, I'm having trouble right now. Could you say that again?", 3),
    ],
)
def test_without_a_function_a_stop_keyword_only_cuts(
    say: str, words: str, reply: str, requests: int, tmp_path: Path
) -> None:
    text = FILTER.format(say=say, function="''")
    files = {"voice/response_control/phrase_filtering.yaml": text}
    found = converse(tmp_path, files, "hi", model=f'otherwise: "{words}"\nrules: []\n').replies[1]
    assert found["response"] == reply and len(found["metadata"]["llmRequests"]) == requests
    assert found["metadata"]["nodeTrace"].count("stop_keyword:promise") == requests


def test_stop_keywords_do_not_touch_what_a_function_says(tmp_path: Path) -> None:
    files = {
        "functions/act.py": function('return {"utterance": "I\'ll check with you later."}'),
        "voice/response_control/phrase_filtering.yaml": FILTER.format(say="false", function="act"),
    }
    assert converse(tmp_path, files, "act").replies[-1]["response"] == "I'll check with you later."


# Silence, start, end, limits.


def test_silence_is_a_turn_of_its_own_and_ends_the_call_when_it_lasts(tmp_path: Path) -> None:
    config = '{"conversation_control": {"max_silence_count": 2, "hangup_utterance": "Nobody there."}, "prompts": {"silence": "(silence)"}}'
    talk = converse(tmp_path, {"agent_settings/experimental_config.json": config}, "", "hello", "", "")
    first, _, _, last = talk.replies[1:]
    history = first["metadata"]["llmRequests"][0]["llm_request"]["conversation_history"]
    assert history[-1] == {"role": "user", "content": "(silence)"}
    assert last["response"] == "Nobody there." and last["conversationEnded"] and last["metadata"]["llmRequests"] == []


def test_the_start_function_may_replace_or_suppress_the_greeting(tmp_path: Path) -> None:
    voice = {
        "voice/configuration.yaml": "greeting:\n  welcome_message: Hello $name of {{attr:site}}\n  language_code: en-GB\n"
    }
    variants = {
        "config/variant_attributes.yaml": "variants:\n- name: north\n  is_default: true\n- name: south\nattributes:\n- name: site\n  values: {north: York, south: Hove}\n"
    }
    files = {
        **voice,
        **variants,
        "functions/start_function.py": "def start_function(conv):\n    conv.state.name = 'Ada'\n    conv.set_variant('south')\n",
    }
    assert converse(tmp_path / "a", files).replies[0]["response"] == "Hello Ada of Hove"
    quiet = {**files, "functions/start_function.py": "def start_function(conv):\n    return {'utterance': ''}\n"}
    assert converse(tmp_path / "b", quiet).replies[0]["response"] == ""
    broken = {
        **files,
        "functions/start_function.py": "def start_function(conv):\n    conv.state.name = 'Bob'\n    1 / 0\n",
    }
    reply = converse(tmp_path / "c", broken).replies[0]
    assert (
        reply["response"] == "Hello Bob of York"
        and "ZeroDivisionError" in reply["metadata"]["functionEvents"][0]["error"]
    )


def test_a_start_function_that_enters_a_flow_is_followed_by_the_first_input(tmp_path: Path) -> None:
    start = "def start_function(conv):\n    conv.goto_flow('Flow F')\n    return {'utterance': '', 'listen': {'asr': {'timeout': 0.1}}}\n"
    talk = converse(tmp_path, {"functions/start_function.py": start, **FLOW}, "")
    assert talk.replies[0]["metadata"]["inStep"] == "First" and talk.replies[0]["metadata"]["llmRequests"] == []
    assert "FIRST" in prompts(talk.replies[1])["step"]


def test_the_end_function_runs_once_after_the_end_and_its_metrics_are_on_the_record(tmp_path: Path) -> None:
    async def hold() -> None:
        end = "def end_function(conv):\n    conv.write_metric('TURNS', len(conv.history))\n    conv.write_metric('FLOW', conv.current_flow)\n    conv.state.closed = True\n"
        files = {
            "agent_settings/rules.txt": RULES,
            "functions/act.py": function("return {'hangup': True}"),
            "functions/end_function.py": end,
        }
        async with serving(write(tmp_path, files), script(CALLS)) as talk:
            one = talk()
            await one.open()
            await one.say("act")
            await one.started.work.run_due()
            await one.started.work.run_due()
            conversation = one.taken.conversation if one.taken else None
            assert conversation is not None
            closing = await one.started.store.closing(conversation)
            assert closing is not None
            assert [(m.name, m.value) for m in closing.metrics] == [("TURNS", 3), ("FLOW", True)]
            assert len(closing.calls) == 1

    run(hold())


def test_a_conversation_that_is_idle_ends_and_says_so_to_a_late_message(tmp_path: Path) -> None:
    from vivavoce.errors import ConversationTimedOut

    async def hold() -> None:
        async with serving(write(tmp_path, {}), script(CALLS), idle_seconds=0.05) as talk:
            one = talk()
            await one.open()
            import asyncio

            await asyncio.sleep(0.1)
            with pytest.raises(ConversationTimedOut):
                await one.say("hello")
            await one.started.work.run_due()
            found = await one.started.store.get("acme", "tiny", one.id)
            assert found is not None and found.end_reason == "idle"

    run(hold())


def test_a_conversation_has_a_longest_length(tmp_path: Path) -> None:
    talk = converse(tmp_path, {}, "one", "two", max_turns=3)
    assert talk.replies[-1]["conversationEnded"] and not talk.replies[-2]["conversationEnded"]


# Knowledge.

TOPICS = {
    "topics/parking.yaml": "name: parking\ncontent: There is a free car park behind the house.\nactions: 'If asked for a place, call {{fn:other}}.'\nexample_queries: [Where can I park my car?, Is there parking?]\n",
    "topics/pets.yaml": "name: pets\ncontent: Dogs are welcome on the terrace.\nexample_queries: [Can I bring my dog?]\n",
    "functions/other.py": function("return {'utterance': 'Reserved.'}", "other"),
}


def test_a_topic_that_is_retrieved_brings_its_words_and_its_functions(tmp_path: Path) -> None:
    model = "rules:\n  - when: {said: park}\n    say: 'There is a free car park behind the house.'\notherwise: hm\n"
    files = {**TOPICS, "agent_settings/rules.txt": "Be kind."}
    talk = converse(tmp_path, files, "where can I park?", "thank you", model=model)
    first, second = talk.replies[1:]
    request = first["metadata"]["llmRequests"][0]["llm_request"]
    assert first["metadata"]["retrievedTopics"] == ["parking"] and first["metadata"]["citedTopic"] == "parking"
    assert '"faq_description":"There is a free car park behind the house."' in prompts(first)["context_information"]
    assert [t["name"] for t in request["functions"]] == ["other"] and request["context_information"][0][
        "distance"
    ] < 0.4
    assert first["metadata"]["metrics"]["QA"] == "parking"
    assert second["metadata"]["retrievedTopics"] == [] and second["metadata"]["citedTopic"] == ""
    assert "car park" in prompts(second)["context_information"]  # earlier results stay in sight


def test_a_topic_that_author_code_disables_is_gone_with_its_functions(tmp_path: Path) -> None:
    files = {
        **TOPICS,
        "agent_settings/rules.txt": "x",
        "functions/start_function.py": "def start_function(conv):\n    conv.disable_kb_topics(['parking'])\n",
    }
    reply = converse(tmp_path, files, "where can I park my car?").replies[-1]
    assert (
        reply["metadata"]["retrievedTopics"] == []
        and reply["metadata"]["llmRequests"][0]["llm_request"]["functions"] == []
    )


# References and the caller's words.


def test_a_function_may_name_another_and_so_open_it(tmp_path: Path) -> None:
    model = "rules:\n  - when: {said: act, tool: act}\n    call: {name: act}\n  - when: {result_of: act, tool: other}\n    call: {name: other}\n  - when: {result_of: other}\n    say: '{result}'\n"
    files = {
        "agent_settings/rules.txt": "Call {{fn:act}}.",
        "functions/act.py": function("return f'now call {{fn:other}} for {conv.state.who}'\n"),
        "functions/other.py": function("return 'done'", "other"),
    }
    reply = converse(tmp_path, files, "act", model=model).replies[-1]
    assert reply["response"] == "done"
    assert reply["metadata"]["functionEvents"][0]["content"] == "now call other for None"


@pytest.mark.parametrize("evil", ["{{fn:other}}", "{fn:other}", "$secret", "{{vrbl:secret}}", "${secret}"])
def test_a_caller_cannot_open_a_tool_or_read_state_by_saying_its_reference(evil: str, tmp_path: Path) -> None:
    files = {
        "agent_settings/rules.txt": "Call {{fn:act}}. Name: $said",
        "functions/start_function.py": "def start_function(conv):\n    conv.state.secret = 'HIDDEN'\n",
        "functions/act.py": function(
            "conv.state.said = word\nreturn f'You said {word} and {conv.history[-1].text}'", parameters=", word: str"
        ),
        "functions/other.py": function("return 'opened'", "other"),
    }
    talk = converse(tmp_path, files, f"act {evil}", "hello")
    first, second = talk.replies[1:]
    tools = [
        t["name"] for r in (first, second) for q in r["metadata"]["llmRequests"] for t in q["llm_request"]["functions"]
    ]
    assert set(tools) == {"act"}
    assert first["metadata"]["functionEvents"][0]["content"] == f"You said {evil} and act {evil}"
    assert prompts(second)["rules"].endswith(f"Name: {evil}") and "HIDDEN" not in prompts(second)["rules"]
    assert talk.state["said"] == evil


def test_prices_and_unknown_names_after_a_dollar_stay_as_they_are(tmp_path: Path) -> None:
    files = {
        "agent_settings/rules.txt": "It costs $8.99 or $unknown; $known.",
        "functions/start_function.py": "def start_function(conv):\n    conv.state.known = None\n",
    }
    reply = converse(tmp_path, files, "hi").replies[-1]
    assert prompts(reply)["rules"] == "It costs $8.99 or $unknown; ."


def test_prompt_llm_is_answered_by_the_servers_model_from_several_threads(tmp_path: Path) -> None:
    body = "from concurrent.futures import ThreadPoolExecutor\nwith ThreadPoolExecutor(4) as pool:\n    found = list(pool.map(lambda n: conv.utils.prompt_llm(f'number {n}', return_json=True)['n'], range(6)))\nreturn str(found)"
    model = "rules:\n  - when: {prompt: 'number (?P<n>\\d)'}\n    say: 'Here: {\"n\": {n}}'\n  - when: {said: act, tool: act}\n    call: {name: act}\n  - when: {result_of: act}\n    say: '{result}'\n"
    reply = converse(tmp_path, {"functions/act.py": function(body)}, "act", model=model).replies[-1]
    assert reply["response"] == "[0, 1, 2, 3, 4, 5]"
    assert [q["purpose"] for q in reply["metadata"]["llmRequests"]].count("function") == 6


def test_a_member_that_is_not_built_yet_says_so_on_the_call(tmp_path: Path) -> None:
    reply = after("conv.integrations.opentable.book()", tmp_path)
    assert reply["metadata"]["functionEvents"][0]["error"].startswith(
        "NotImplementedError: conv.integrations.opentable"
    )


def test_a_queued_message_is_rendered_on_the_function_event(tmp_path: Path) -> None:
    sms = "sms_templates:\n- name: hi\n  text: 'Hi $who, see you at ${variant_site}'\n  env_phone_numbers: {sandbox: '+1'}\n"
    variants = "variants:\n- name: v\n  is_default: true\nattributes:\n- name: site\n  values: {v: York}\n"
    more = {"config/sms_templates.yaml": sms, "config/variant_attributes.yaml": variants}
    reply = after("conv.state.who = 'Ada'\nconv.send_sms_template('+2', 'hi')\nreturn 'sent'", tmp_path, more=more)
    (message,) = reply["metadata"]["functionEvents"][0]["messages"]
    assert message.pop("id") and message == {
        "kind": "sms", "to": "+2", "from": "+1", "content": "Hi Ada, see you at York", "template": "hi", "delivery": {"status": "waiting", "attempts": 0},
    }  # fmt: skip


def test_metrics_written_again_become_a_list_and_write_once_holds(tmp_path: Path) -> None:
    talk = converse(
        tmp_path,
        {
            "functions/act.py": function(
                "conv.write_metric('A', 1)\nconv.write_metric('B', write_once=True)\nreturn 'x'"
            )
        },
        "act",
        "act",
    )
    assert talk.replies[-1]["metadata"]["metrics"] == {"A": [1, 1], "B": True}
