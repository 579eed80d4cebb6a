"""No-code steps as conversations: entities are collected and checked, conditions lead on, values reach code and prompts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.integration.test_turns import converse, prompts
from tests.support.talk import AGENTS, run, serving
from vivavoce.models.local.model import LocalModel

ENTITIES = """entities:
- name: full_name
  description: The name on the account.
  entity_type: name_config
  config: {}
- name: party
  description: How many people.
  entity_type: numeric
  config: {has_range: true, min: 1, max: 8}
- name: birthday
  description: Date of birth.
  entity_type: date
  config: {}
- name: phone
  description: Where to reach them.
  entity_type: phone_number
  config: {enabled: true, country_codes: [GB]}
- name: size
  description: Which size.
  entity_type: enum
  config: {options: [Small, Large]}
- name: visit
  description: When.
  entity_type: time
  config: {enabled: true, start_time: '09:00', end_time: '17:30'}
- name: code
  description: Booking code.
  entity_type: alphanumeric
  config: {enabled: true, regular_expression: '^[A-Z]{2}\\d{3}$'}
- name: street
  description: Where.
  entity_type: address
  config: {}
"""
FILES = {
    "agent_settings/rules.txt": "Begin with {{fn:begin}}; read with {{fn:read}}.",
    "config/entities.yaml": ENTITIES,
    "functions/begin.py": "def begin(conv):\n    conv.goto_flow('Booking')\n",
    "functions/read.py": (
        "def read(conv):\n"
        "    seen = {name: [type(conv.state[name]).__name__, conv.state[name]] for name in conv.entities}\n"
        "    named = conv.entities.full_name.value if conv.entities.full_name else None\n"
        "    conv.state.party = (conv.state.party or 0) + 1\n"
        "    return repr(seen) + ' ' + repr(named) + ' ' + repr(conv.entities.missing)\n"
    ),
    "flows/booking/flow_config.yaml": "name: Booking\ndescription: d\nstart_step: Details\n",
    "flows/booking/steps/details.yaml": """step_type: default_step
name: Details
prompt: Ask for {{entity:full_name}} and {{entity:party}}.
extracted_entities: [full_name, party, birthday, phone, size, visit, code, street]
conditions:
- name: Details given
  condition_type: step_condition
  description: When name and party are there.
  child_step: check
  required_entities: [full_name, party]
- name: Refuses
  condition_type: exit_flow_condition
  description: When the caller will not say.
  required_entities: []
""",
    "flows/booking/steps/done.yaml": "step_type: default_step\nname: Done\nprompt: 'Thank {{entity:full_name}}, $party people.'\n",
    "flows/booking/function_steps/check.py": (
        "def check(conv, flow):\n    conv.state.checked = conv.entities.party.value\n    flow.goto_step('Done')\n"
    ),
}
MODEL = """
rules:
  - when: {said: "^begin", tool: begin}
    call: {name: begin}
  - when: {result_of: begin}
    say: "Your details?"
  - when: {said: "^save (?P<json>.+)", tool: save_entities}
    call: {name: save_entities, arguments: "{json}"}
  - when: {result_of: save_entities, result: "Call the one"}
    call: {name: take_details_given}
  - when: {result_of: save_entities}
    say: "RESULT {result}"
  - when: {said: "^take", tool: take_details_given}
    call: {name: take_details_given}
  - when: {said: "^refuse", tool: take_refuses}
    call: {name: take_refuses}
  - when: {said: "^read", tool: read}
    call: {name: read}
  - when: {result_of: read}
    say: "{result}"
  - when: {result_of: take_details_given}
    say: "next: {result}"
  - when: {result_of: check}
    say: "checked"
otherwise: "plain"
"""


def book(tmp_path: Path, *lines: str, **more: Any) -> Any:
    return converse(tmp_path, FILES, "begin", *lines, model=MODEL, **more)


def test_values_are_checked_typed_kept_and_lead_on_in_the_same_turn(tmp_path: Path) -> None:
    talk = book(tmp_path, 'save {"full_name": "my name is ada byron", "party": "three"}')
    reply = talk.replies[-1]
    assert reply["response"] == "checked" and reply["metadata"]["inStep"] == "Done"
    assert talk.state["full_name"] == "Ada Byron" and talk.state["party"] == 3 and talk.state["checked"] == "3"
    assert prompts(reply)["step"].startswith("Thank Ada Byron, 3 people.")
    assert "condition:Details given" in reply["metadata"]["nodeTrace"]
    assert [e["name"] for e in reply["metadata"]["functionEvents"]] == ["check"]  # our own tools run no author code
    assert [(e["name"], e["valid"]) for e in reply["metadata"]["entities"]] == [("full_name", True), ("party", True)]


def test_an_invalid_value_is_told_to_the_model_and_never_replaces_a_valid_one(tmp_path: Path) -> None:
    talk = book(tmp_path, 'save {"party": "4"}', 'save {"party": "ninety"}', 'save {"visit": "at 8 in the evening"}')
    assert talk.state["party"] == 4
    assert "Not saved: party: it must be at most 8." in talk.replies[-2]["response"]
    assert "between 09:00 and 17:30" in talk.replies[-1]["response"]
    assert talk.replies[-1]["metadata"]["inStep"] == "Details" and "visit" not in talk.state


def test_every_kind_of_entity_reaches_code_with_its_type(tmp_path: Path) -> None:
    given = (
        '{"full_name": "Grace Hopper", "birthday": "9 December 1906", "phone": "020 7946 0018", "size": "large one", '
        '"visit": "half past three", "code": "a b one two three", "street": "1 High Street"}'
    )
    talk = book(tmp_path, f"save {given}", "read")
    assert talk.replies[-1]["response"] == (
        "{'full_name': ['str', 'Grace Hopper'], 'birthday': ['str', '1906-12-09'], 'phone': ['str', '+442079460018'], "
        "'size': ['str', 'Large'], 'visit': ['str', '15:30'], 'code': ['str', 'AB123'], 'street': ['str', '1 High Street']}"
        " 'Grace Hopper' None"
    )


def test_a_condition_waits_for_its_entities_and_an_exit_leaves_the_flow(tmp_path: Path) -> None:
    talk = book(tmp_path, "take", "refuse")
    assert "full_name, party must be saved first" in talk.replies[-2]["response"]
    assert talk.replies[-1]["metadata"]["inFlow"] == ""


def test_what_code_then_does_with_a_saved_value_stands_also_after_the_worker_is_gone(tmp_path: Path) -> None:
    lines = ('save {"party": "two"}', "read", "read", 'save {"party": "five"}', "read")
    states = []
    for evicting in (False, True):
        folder = tmp_path / str(evicting)
        talk = book(folder, *lines, evicting=evicting)
        states.append([reply["metadata"]["state"].get("party") for reply in talk.replies])
    assert states[0] == states[1] == [None, None, 2, 3, 4, 5, 6]


def test_a_date_is_told_from_the_conversations_own_clock_and_time_zone(tmp_path: Path) -> None:
    entities = "entities:\n- name: day\n  entity_type: date\n  config: {relative_date: true}\n"
    variants = (
        "variants:\n- name: here\n  is_default: true\n- name: there\n"
        "attributes:\n- name: timezone\n  values: {here: UTC, there: Pacific/Auckland}\n"
    )
    files = {
        **FILES,
        "config/entities.yaml": entities,
        "config/variant_attributes.yaml": variants,
        "flows/booking/steps/details.yaml": "step_type: default_step\nname: Details\nprompt: ask\nextracted_entities: [day]\n",
    }
    found = []
    for variant in ("here", "there"):
        opening = {"simulated_at": "2026-03-11T20:00:00Z", "variant": variant}
        talk = converse(tmp_path / variant, files, "begin", 'save {"day": "tomorrow"}', model=MODEL, opening=opening)
        found.append(talk.state["day"])
    assert found == ["2026-03-12", "2026-03-13"]  # in Auckland it is the next morning already


def test_validate_entity_checks_by_every_configuration(tmp_path: Path) -> None:
    code = """from _gen import *
import datetime

def act(conv: Conversation):
    u = conv.utils
    tries = [
        ('20', u.NumericConfig(min_inclusive=1, max_inclusive=10)),
        ('seven', u.NumericConfig()),
        ('a couple', u.QuantityConfig()),
        ('ten pounds fifty', u.CurrencyConfig()),
        ('jane dot doe at example dot com', u.EmailConfig()),
        ('order AB-123 please', u.AlphanumericConfig(custom_regex=r'([A-Z]{2})-(\\\\d+)', capturing_group=2)),
        ('5/6/2026', u.DateConfig(day_first=False)),
        ('tomorrow', u.DateConfig(latest_date_inclusive=datetime.date(2026, 3, 11))),
        ('four', u.TimeConfig(time_pivot='08:00', format='%I:%M %p')),
        ('020 7946 0018', u.PhoneNumberConfig(regions=['GB'])),
        ('smal', u.EnumConfig(allowed_vals=['Small', 'Large'])),
        ('it is Ada', u.NameConfig()),
        ('anything', u.FreeTextConfig),
    ]
    found = [(lambda r: [r.valid, r.value])(u.validate_entity(said, config)) for said, config in tries]
    phone = u.validate_entity('020 7946 0018', u.PhoneNumberConfig(regions=['GB']))
    conv.state.found = found
    conv.state.phone = [phone.country_code, phone.number]
    return 'ok'
""".replace("\\\\d", "\\d")
    files = {"functions/act.py": code, "agent_settings/rules.txt": "{{fn:act}}"}
    talk = converse(
        tmp_path,
        files,
        "act",
        opening={"simulated_at": "2026-03-11T10:00:00Z"},
        model="rules:\n  - when: {said: act, tool: act}\n    call: {name: act}\notherwise: done\n",
    )
    assert talk.calls[0]["error"] is None
    assert talk.state["found"] == [
        [False, None], [True, "7"], [True, "2"], [True, "10.5"], [True, "jane.doe@example.com"], [True, "123"],
        [True, "2026-05-06"], [False, None], [True, "04:00 PM"], [True, "+442079460018"], [True, "Small"], [True, "Ada"],
        [True, "anything"],
    ]  # fmt: skip
    assert talk.state["phone"] == ["44", "2079460018"]


def test_the_embedded_model_collects_what_the_conditions_need_and_answers_asides(tmp_path: Path) -> None:
    lines = ["I want to book a table", "my name is grace hopper", "are dogs welcome?", "we are thirty", "sorry, three"]

    async def hold() -> list[dict[str, Any]]:
        async with serving(AGENTS / "everything", LocalModel(None), secrets={"till": "till-secret"}) as talk:
            one = talk()
            await one.open()
            return [await one.say(line) for line in lines]

    replies = run(hold())
    assert [r["response"] for r in replies[:4]] == [
        "Could you tell me the guest's name?",
        "Could you tell me how many guests?",
        "Dogs are welcome in the garden, and nowhere else. Could you tell me how many guests?",
        "Sorry, it must be at most 12. Could you tell me how many guests?",
    ]
    assert (
        replies[4]["metadata"]["inStep"] == "Confirm" and replies[4]["metadata"]["state"]["noted"] == "Grace Hopper 3"
    )
