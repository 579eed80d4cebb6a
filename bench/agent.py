"""Writes the agent folder of the benchmark: a thousand topics, one function, a state of thirty keys."""

from __future__ import annotations

import random
from pathlib import Path

WORDS = [
    "order",
    "parcel",
    "invoice",
    "refund",
    "delivery",
    "address",
    "warranty",
    "repair",
    "account",
    "password",
    "balance",
    "payment",
    "card",
    "shipment",
    "courier",
    "tracking",
    "return",
    "exchange",
    "voucher",
    "discount",
    "catalogue",
    "colour",
    "size",
    "stock",
    "branch",
    "opening",
    "holiday",
    "parking",
    "appointment",
    "technician",
    "installation",
    "battery",
    "charger",
    "screen",
    "cable",
    "adapter",
    "manual",
    "software",
    "update",
    "licence",
    "subscription",
    "cancellation",
    "renewal",
    "contract",
    "tariff",
    "roaming",
]

SCRIPT = """
rules:
  - when: {tool: look_up, said: "order"}
    call: {name: look_up, arguments: {number: 7}}
  - when: {result_of: look_up}
    say: "Your order number seven leaves the house tomorrow morning."
otherwise: "Which order do you mean?"
"""

START = """from _gen import *


def start_function(conv: Conversation):
    for n in range(30):
        setattr(conv.state, f"key_{n}", {"n": n, "text": "value " * 3})
    conv.state.count = 0
"""

LOOK_UP = """from _gen import *


@func_description("Looks an order up by its number.")
@func_parameter("number", "The number of the order.")
def look_up(conv: Conversation, number: int):
    conv.state.count += 1
    return f"Order {number} leaves tomorrow."
"""


def write(folder: Path, topics: int = 1000) -> None:
    chance = random.Random(7)
    for name in ("topics", "functions", "voice", "agent_settings"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "project.yaml").write_text("project_id: bench\naccount_id: local\n")
    (folder / "voice/configuration.yaml").write_text("greeting:\n  welcome_message: Hello!\n  language_code: en-GB\n")
    rules = "\n".join(f"{n}. {' '.join(chance.choices(WORDS, k=18))}." for n in range(40))
    (folder / "agent_settings/rules.txt").write_text(f"Look orders up with {{{{fn:look_up}}}}.\n{rules}\n")
    (folder / "functions/start_function.py").write_text(START)
    (folder / "functions/look_up.py").write_text(LOOK_UP)
    for n in range(topics):
        queries = "\n".join(f"- {' '.join(chance.choices(WORDS, k=6))} {n}" for _ in range(6))
        content = " ".join(chance.choices(WORDS, k=40))
        (folder / f"topics/topic_{n}.yaml").write_text(
            f"name: topic_{n}\ncontent: {content}\nactions: ''\nexample_queries:\n{queries}\n"
        )
    (folder.parent / "script.yaml").write_text(SCRIPT)


def question(n: int) -> str:
    chance = random.Random(n)
    return f"where is my order number {n % 1000} {' '.join(chance.choices(WORDS, k=4))}"
