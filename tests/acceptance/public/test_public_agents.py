"""Public agent folders, run as they are: set AGENTS to the folder that holds them. Our own words, their own functions."""

from __future__ import annotations

import os
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support.openai_server import OpenAIServer, openai_server
from tests.support.talk import Talk, run, script, serving
from vivavoce.models.interface import Model
from vivavoce.models.openai import OpenAIModel
from vivavoce.models.retrying import Retrying
from vivavoce.project.loader import load
from vivavoce.project.tree import read_tree

PUBLIC = Path(os.environ["AGENTS"])
RESTAURANT = PUBLIC / "restaurant-table-booking"
CLINIC = PUBLIC / "healthcare-appointment-scheduling"
DAY = (date.today() + timedelta(days=1)).isoformat()

RESTAURANT_SCRIPT = f"""
rules:
  - when: {{prompt: "value extractor"}}
    say: '{{"first_name": "Ada", "last_name": "Byron", "known_first_name": true, "known_last_name": true}}'
  - when: {{said: "dogs"}}
    say: "Let me check that for you."
  - when: {{said: "book a table", tool: start_make_booking}}
    call: {{name: start_make_booking, arguments: {{party_size: 0, date: "-", user_want_to_make_multiple_bookings: false}}}}
  - when: {{result_of: start_make_booking}}
    say: "When would you like to come, and how many are you?"
  - when: {{said: "tomorrow at seven", tool: start_checking_availability}}
    call: {{name: start_checking_availability, arguments: {{party_size: "2", time: "19:00", date: "{DAY}", selected_table_type: "default", selected_experience_ids: "[]"}}}}
  - when: {{result_of: start_checking_availability}}
    say: "Seven tomorrow for two is free. Shall I hold it?"
  - when: {{said: "yes, hold it", tool: temporarily_lock_slot}}
    call: {{name: temporarily_lock_slot, arguments: {{date: "{DAY}", time: "19:00", party_size: 2, selected_table_type: "default"}}}}
  - when: {{result_of: temporarily_lock_slot}}
    say: "It is held. What is your name?"
  - when: {{said: "ada byron", tool: customer_name_given}}
    call: {{name: customer_name_given, arguments: {{first_name: "Ada", last_name: "Byron"}}}}
  - when: {{said: "B Y R O N", tool: customer_name_given}}
    call: {{name: customer_name_given, arguments: {{first_name: "Ada", last_name: "Byron"}}}}
  - when: {{said: "that is right", tool: customer_name_given}}
    call: {{name: customer_name_given, arguments: {{first_name: "Ada", last_name: "Byron"}}}}
  - when: {{result_of: customer_name_given}}
    say: "Thank you. {{result}}"
  - when: {{said: "this number", tool: save_phone_number_and_move_on}}
    call: {{name: save_phone_number_and_move_on, arguments: {{phone_number: "5552340199"}}}}
  - when: {{result_of: save_phone_number_and_move_on}}
    say: "Any notes?"
  - when: {{said: "no notes", tool: finalize_booking}}
    call: {{name: finalize_booking, arguments: {{booking_notes: "-", dietary_requirements: false}}}}
  - when: {{result_of: finalize_booking}}
    say: "You are booked."
  - when: {{said: "that is all", tool: ask_csat}}
    call: {{name: ask_csat, arguments: {{}}}}
  - when: {{said: "opening", tool: get_opening_hours}}
    call: {{name: get_opening_hours, arguments: {{date: "-", day_of_the_week: "-"}}}}
  - when: {{result_of: get_opening_hours}}
    say: "These are our hours."
  - when: {{result_of: handle_hallucinated_tool_call}}
    say: "Dogs are welcome on the terrace."
otherwise: "Could you say that again?"
"""

CLINIC_SCRIPT = """
rules:
  - when: {said: "book an appointment", tool: start_booking_flow}
    call: {name: start_booking_flow, arguments: {}}
  - when: {result_of: idnv_entry}
    say: "Is the number you are calling from the one on your account?"
  - when: {said: "^yes", tool: caller_phone_confirmed}
    call: {name: caller_phone_confirmed, arguments: {}}
  - when: {result_of: save_caller_phone_and_lookup}
    say: "What is your date of birth?"
  - when: {said: "insurance"}
    say: "We take most insurers."
  - when: {said: "a person", tool: handoff}
    call: {name: handoff, arguments: {reason: "SPEAK_TO_HUMAN", utterance: "One moment."}}
  - when: {said: "born (?P<day>.+)", tool: save_entities}
    call: {name: save_entities, arguments: {date_of_birth: "{day}"}}
  - when: {said: "my name is (?P<name>.+)", tool: save_entities}
    call: {name: save_entities, arguments: {full_name: "{name}"}}
  - when: {said: "not tell", tool: take_user_refuses_to_provide_name}
    call: {name: take_user_refuses_to_provide_name}
  - when: {result_of: save_entities, result: "take_date_of_birth_collected"}
    call: {name: take_date_of_birth_collected}
  - when: {result_of: save_entities, result: "take_name_collected"}
    call: {name: take_name_collected}
  - when: {result_of: save_entities}
    say: "Which day was that?"
  - when: {result_of: take_date_of_birth_collected}
    say: "To confirm, is that right?"
  - when: {said: "right", tool: dob_confirmed}
    call: {name: dob_confirmed}
  - when: {result_of: match_dob_and_identify}
    say: "And the name on the account?"
  - when: {prompt: "detail-oriented name matcher"}
    say: "match"
otherwise: "Could you say that again?"
"""


def faults(folder: Path) -> list[Any]:
    return [f for f in load(read_tree(folder), name=folder.name).faults if f.severity == "error"]


@pytest.mark.parametrize("folder", [RESTAURANT, CLINIC], ids=lambda p: p.name)
def test_the_folder_loads_without_an_error(folder: Path) -> None:
    assert faults(folder) == []


async def book_a_table(talk: Talk) -> None:
    greeting = await talk.open(caller_number="+15552340199")
    assert "reservation" in greeting["response"]
    await talk.say("what are your opening hours?")
    assert talk.calls[-1]["name"] == "get_opening_hours" and "12:00" in talk.calls[-1]["content"]
    dogs = await talk.say("are dogs allowed?")
    assert talk.calls[-1]["name"] == "handle_hallucinated_tool_call"  # a stop keyword caught the promise to look
    assert dogs["response"] == "Dogs are welcome on the terrace."
    await talk.say("I'd like to book a table")
    assert talk.replies[-1]["metadata"]["inFlow"] == "make_booking"
    for line in ("tomorrow at seven for two", "yes, hold it", "Ada Byron", "B Y R O N", "yes that is right"):
        await talk.say(line)
        if talk.replies[-1]["metadata"]["inStep"] in ("Should use callers phone number", "Collect phone number"):
            break
    await talk.say("use this number")
    assert talk.replies[-1]["metadata"]["inStep"] == "Final details"
    await talk.say("no notes")
    names = [call["name"] for call in talk.calls]
    assert [c["name"] for c in talk.calls if c["error"]] == []
    assert "temporarily_lock_slot" in names and "finalize_booking" in names
    assert not talk.replies[-1]["conversationEnded"], talk.replies[-1]["response"]
    ended = await talk.say("that is all")
    assert ended["conversationEnded"] and "Goodbye" in ended["response"]


async def verify_at_the_clinic(talk: Talk) -> None:
    await talk.open(caller_number="+15550001234")
    await talk.say("do you take my insurance?")
    await talk.say("I want to book an appointment")
    assert talk.replies[-1]["metadata"]["inStep"] == "Check Phone Number"
    assert [c["name"] for c in talk.calls][-2:] == ["start_booking_flow", "idnv_entry"]
    reply = await talk.say("yes it is")
    assert [c["name"] for c in talk.calls][-2:] == ["caller_phone_confirmed", "save_caller_phone_and_lookup"]
    assert reply["metadata"]["inStep"] == "Collect Date of Birth"  # a no-code step
    assert reply["metadata"]["metrics"]["IDNV_CANDIDATES_FOUND"] == 1
    ended = await talk.say("I want to speak to a person")
    assert ended["conversationEnded"] and [c["name"] for c in talk.calls if c["error"]] == []


async def be_identified_at_the_clinic(talk: Talk) -> None:
    """Through both no-code steps: dates and names are checked, conditions lead to function steps, code reads the entities."""
    await talk.open(caller_number="+15550001234")
    await talk.say("I want to book an appointment")
    await talk.say("yes it is")
    refused = await talk.say("I was born on the thirty-third of March")
    assert refused["metadata"]["inStep"] == "Collect Date of Birth" and not refused["metadata"]["entities"][0]["valid"]
    day = talk.state["idnv_candidate_patients"][0]["date_of_birth"]
    confirming = await talk.say(f"I was born {day}")
    assert confirming["metadata"]["inStep"] == "Confirm Date of Birth" and talk.state["date_of_birth"] == day
    asked = await talk.say("that is right")
    assert asked["metadata"]["inStep"] == "Collect Name"
    assert [c["name"] for c in talk.calls][-2:] == ["dob_confirmed", "match_dob_and_identify"]
    await talk.say("my name is jane doe")
    assert [c["name"] for c in talk.calls][-2:] == [
        "match_name_to_account",
        "booking_entry",
    ]  # verified, and on to book
    assert talk.state["full_name"] == "Jane Doe"
    assert talk.replies[-1]["metadata"]["inStep"] != "Collect Name"
    assert [c["name"] for c in talk.calls if c["error"]] == []


async def refuse_at_the_clinic(talk: Talk) -> None:
    await talk.open(caller_number="+15550001234")
    for line in ("I want to book an appointment", "yes it is"):
        await talk.say(line)
    day = talk.state["idnv_candidate_patients"][0]["date_of_birth"]
    for line in (f"I was born {day}", "that is right"):
        await talk.say(line)
    ended = await talk.say("I will not tell you")
    assert talk.calls[-1]["name"] == "name_collection_failed" and ended["conversationEnded"]
    assert ended["metadata"]["metrics"]["HANDOFF_REASON"]


CONVERSATIONS = [
    (RESTAURANT, RESTAURANT_SCRIPT, book_a_table),
    (CLINIC, CLINIC_SCRIPT, verify_at_the_clinic),
    (CLINIC, CLINIC_SCRIPT, be_identified_at_the_clinic),
    (CLINIC, CLINIC_SCRIPT, refuse_at_the_clinic),
]
NAMES = ["restaurant", "clinic", "clinic, identified", "clinic, refused"]


@pytest.mark.parametrize("evicting", [False, True], ids=["warm", "evicted between turns"])
@pytest.mark.parametrize(("folder", "text", "conversation"), CONVERSATIONS, ids=NAMES)
def test_a_conversation_goes_through_the_real_flows_with_a_scripted_model(
    folder: Path, text: str, conversation: Any, evicting: bool, tmp_path: Path
) -> None:
    async def hold() -> None:
        async with serving(folder, script(text), data=tmp_path, evicting=evicting) as talk:
            await conversation(talk())

    run(hold())


@pytest.mark.parametrize(("folder", "text", "conversation"), CONVERSATIONS, ids=NAMES)
def test_the_same_conversation_over_an_openai_compatible_server(
    folder: Path, text: str, conversation: Any, tmp_path: Path
) -> None:
    async def hold() -> None:
        async with openai_server(OpenAIServer(script(text))) as upstream:
            model: Model = Retrying(OpenAIModel("played", key="k", base_url=upstream.url, timeout=10))
            async with serving(folder, model, data=tmp_path) as talk:
                await conversation(talk())

    run(hold())
