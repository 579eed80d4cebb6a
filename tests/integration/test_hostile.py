"""What went wrong once, and must not again: floods, lies, leaks and races."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

import pytest

from tests.integration.test_turns import CALLS, RULES, converse, function
from tests.support.http import api
from tests.support.talk import run, script, serving, write
from vivavoce.project.loader import load
from vivavoce.project.tree import read_tree
from vivavoce.service.chats import Opening
from vivavoce.service.keys import OPERATOR

CODE = function("exec(word, {'conv': conv})\nreturn conv.state.answer", parameters=", word: str")


def children(pid: int) -> set[int]:
    found: set[int] = set()
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            for child in (task / "children").read_text().split():
                found |= {int(child)} | children(int(child))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def test_three_hundred_conversations_at_once_all_get_their_function_run(tmp_path: Path) -> None:
    async def hold() -> None:
        files = {"agent_settings/rules.txt": RULES, "functions/act.py": function("return conv.id")}
        async with serving(write(tmp_path, files), script(CALLS), workers=16) as talk:
            talks = [talk() for _ in range(300)]
            for one in talks:
                await one.open()
            replies = await asyncio.gather(*(one.say("act") for one in talks))
            assert [r["response"] for r in replies] == [f"after act: {one.id}" for one in talks]

    run(hold())


@pytest.mark.parametrize(
    "given", ["1e300", "1180591620717411303424", "-9999999999999999999999", "NaN", '"' + "9" * 400 + '"']
)
def test_a_number_out_of_all_proportion_is_told_to_the_model_and_costs_nobody_a_worker(
    given: str, tmp_path: Path
) -> None:
    model = f"rules:\n  - when: {{said: act}}\n    call: {{name: act, arguments: '{{\"n\": {given}}}'}}\n  - when: {{result: '.'}}\n    say: 'ok'\notherwise: fine\n"
    talk = converse(
        tmp_path, {"functions/act.py": function("return str(n)", parameters=", n: int")}, "act", "hello", model=model
    )
    assert [r["response"] for r in talk.replies[1:]] == ["ok", "fine"]


def test_attributes_that_cannot_be_passed_on_are_refused(tmp_path: Path) -> None:
    async def check() -> None:
        async with api(write(tmp_path, {}), script(CALLS)) as http:
            deep: Any = 1
            for _ in range(100):
                deep = {"a": deep}
            for bad in ({"a": 2**70}, deep):
                status, body, _ = await http.call(
                    "POST", "/v1/agents/tiny/debug-chat", {"clientEnv": "sandbox", "integrationAttributes": bad}
                )
                assert status == 400 and "integrationAttributes" in body["error"]

    run(check())


def test_an_opening_with_a_taken_id_does_not_disturb_the_conversation_that_has_it(tmp_path: Path) -> None:
    async def check() -> None:
        files = {
            "agent_settings/rules.txt": RULES,
            "functions/act.py": function("import time\ntime.sleep(0.5)\nconv.state.done = True\nreturn 'slept'"),
        }
        async with api(write(tmp_path, files), script(CALLS)) as http:
            await http.open(conversationId="live")
            running = asyncio.create_task(http.say("live", "act"))
            await asyncio.sleep(0.1)
            path = "/v1/agents/tiny/debug-chat"
            status, _, _ = await http.call(
                "POST", path, {"clientEnv": "sandbox", "conversationId": "live"}, headers={"Idempotency-Key": "z"}
            )
            assert status == 409
            assert (await running)[1]["response"] == "after act: slept"
            body = {"clientEnv": "sandbox", "conversationId": "fresh"}
            replies = await asyncio.gather(
                *(http.call("POST", path, body, headers={"Idempotency-Key": f"k{n}"}) for n in range(4))
            )
            assert sorted(r[0] for r in replies) == [201, 409, 409, 409]

    run(check())


def test_a_conversation_outlives_any_number_of_reloads_of_its_folder(tmp_path: Path) -> None:
    async def hold() -> None:
        folder = write(tmp_path, {"agent_settings/rules.txt": RULES, "functions/act.py": function("return 'old'")})
        async with serving(folder, script(CALLS), workers=1) as talk:
            one = talk()
            await one.open()
            for n in range(70):
                write(folder, {"functions/act.py": function(f"return 'new {n}'")})
                await one.started.services.deployments.serve(folder)
                if n % 20 == 0:
                    await one.started.services.chats.open(OPERATOR, "tiny", Opening(environment="sandbox"))
            await one.started.functions.evict(one.taken.conversation)  # type: ignore[union-attr]
            assert (await one.say("act"))["response"] == "after act: old"
            assert len(children(os.getpid())) < 16 * 4

    run(hold())


@pytest.mark.parametrize(
    "code",
    [
        "print(chr(0xd800)); conv.state.answer = 'fine'",
        "conv.write_metric('m', 2**70); conv.write_metric(chr(0xd800), 1); conv.state.answer = 'fine'",
        "conv.state['a' + chr(0xd800)] = 1; conv.state.answer = 'fine'",
        "conv.state.odd = {1: 2, None: 3, (1, 2): 4, 'nan': float('nan'), 'big': 2**80, 'b': b'x'}; conv.state.answer = 'fine'",
        "a = []; a.append(a); conv.state.ring = a; conv.state.answer = 'fine'",
        "conv.state.answer = 'x' * 50_000_000",
        "conv.state.answer = chr(0xd800)",
        "conv.state = None",
        "conv.history.clear(); conv.history = 5; conv.state.answer = 'fine'",
        "conv.goto_flow(None); conv.say(5); conv.set_variant(7); conv.state.answer = 'fine'",
        "import sys; sys.modules.clear()",
        "import pickle; pickle.dumps = None",
        "import os; [os.close(n) for n in range(3, 64)]",
        "import threading, sys; threading.Thread(target=sys.exit).start(); conv.state.answer = 'fine'",
        "class E:\n def __reduce__(self): raise SystemExit\nconv.state.e = E(); conv.state.answer = 'fine'",
        "class E:\n def __eq__(self, o): raise ValueError\n def __hash__(self): raise ValueError\n def __repr__(self): raise ValueError\nconv.state.e = E(); conv.state.answer = 'fine'",
    ],
)
def test_nothing_that_author_code_leaves_behind_costs_more_than_its_own_call(code: str, tmp_path: Path) -> None:
    async def hold() -> None:
        files = {"agent_settings/rules.txt": RULES, "functions/act.py": CODE}
        async with serving(write(tmp_path, files), script(CALLS)) as talk:
            one, other = talk(), talk()
            await one.open()
            await other.open()
            await one.say(f"act {code}")
            await one.started.functions.evict(one.taken.conversation)  # type: ignore[union-attr]
            assert (await one.say("act conv.state.answer = 'well'"))["response"] == "after act: well"
            assert (await other.say("act conv.state.answer = 'unharmed'"))["response"] == "after act: unharmed"

    run(hold())


def test_a_value_that_pickles_but_does_not_come_back_is_dropped_with_a_notice(tmp_path: Path) -> None:
    body = "class_ = __import__('functions.errors', fromlist=['Odd']).Odd\nconv.state.e = class_(1, 2)\nconv.state.kept = 1\nreturn 'x'"
    errors = "class Odd(Exception):\n    def __init__(self, a, b):\n        super().__init__(a)\n"

    async def hold() -> None:
        files = {"agent_settings/rules.txt": RULES, "functions/act.py": function(body), "functions/errors.py": errors}
        async with serving(write(tmp_path, files), script(CALLS), evicting=True) as talk:
            one = talk()
            await one.open()
            first = await one.say("act")
            assert "conv.state.e cannot be kept" in first["metadata"]["notices"][0]["message"]
            assert (await one.say("act"))["metadata"]["functionEvents"][0]["error"] is None

    run(hold())


def test_what_author_code_forks_goes_with_its_worker(tmp_path: Path) -> None:
    async def hold() -> None:
        code = "import os, time\npid = os.fork()\nif pid == 0:\n    time.sleep(60)\n    os._exit(0)\nconv.state.answer = 'forked'"
        files = {"agent_settings/rules.txt": RULES, "functions/act.py": CODE}
        async with serving(write(tmp_path, files), script(CALLS)) as talk:
            one = talk()
            await one.open()
            await one.say("act conv.state.answer = 'x'")
            before = len(children(os.getpid()))
            assert (await one.say(f"act {code}"))["response"] == "after act: forked"
            assert len(children(os.getpid())) == before + 1
            await one.started.functions.evict(one.taken.conversation)  # type: ignore[union-attr]
            for _ in range(100):
                await asyncio.sleep(0.02)
                if len(children(os.getpid())) < before:
                    return
            raise AssertionError("it is still there")

    run(hold())


def test_import_code_that_talks_to_the_server_cannot_make_guards_up(tmp_path: Path) -> None:
    async def hold() -> None:
        lie = "import os, struct\nbody = b'\\x85' * 40\nfor n in range(3, 1024):\n    try:\n        os.write(n, struct.pack('>I', len(body)) + body)\n    except OSError:\n        pass\n"
        files = {"agent_settings/rules.txt": RULES, "functions/act.py": lie + function("return 'x'")}
        async with serving(write(tmp_path, files), script(CALLS)) as talk:
            one = talk()
            await one.open()
            reply = await one.say("act")
            assert "could not be started" in reply["metadata"]["functionEvents"][0]["error"]
            assert (await one.say("hello"))["response"] == "plain words"

    run(hold())


@pytest.mark.parametrize("caller", ["$opened", "{{vrbl:opened}}", "{{fn:other}}"])
def test_a_caller_number_is_no_template_either(caller: str, tmp_path: Path) -> None:
    files = {
        "functions/start_function.py": "def start_function(conv):\n    conv.state.opened = 'HIDDEN'\n",
        "functions/act.py": function("return f'{conv.caller_number} {conv.state.from_}'"),
        "functions/other.py": function("return 'x'", "other"),
        "agent_settings/rules.txt": "Call {{fn:act}}. $from_",
    }
    talk = converse(tmp_path, files, "act", opening={"caller_number": caller})
    assert talk.replies[-1]["response"] == f"after act: {caller} {caller}"
    requests = talk.replies[-1]["metadata"]["llmRequests"]
    assert all("HIDDEN" not in p["content"] for r in requests for p in r["llm_request"]["base_system_prompts"])
    assert all([t["name"] for t in r["llm_request"]["functions"]] == ["act"] for r in requests)


def test_a_result_that_multiplies_itself_is_cut(tmp_path: Path) -> None:
    began = time.monotonic()
    talk = converse(
        tmp_path,
        {"functions/act.py": function("conv.state.a = 'x' * 1_000_000\nreturn {'utterance': '$a' * 50_000}")},
        "act",
    )
    assert len(talk.replies[-1]["response"]) <= 100_000 and time.monotonic() - began < 20


FORGED = """
import os, socket, struct
import msgspec
for n in range(3, 64):
    try:
        sock = socket.socket(fileno=os.dup(n))
        sock.getpeername()
    except OSError:
        continue
    body = {body}
    sock.sendall(struct.pack('>I', len(body)) + body)
import time
time.sleep(5)
"""
BOMBS = {
    "a result of empty maps": "bytes([0x82, 0xa1]) + b't' + bytes([0xa4]) + b'done' + bytes([0xa8]) + b'returned' + bytes([0xdd]) + (20_000_000).to_bytes(4, 'big') + bytes([0x80]) * 20_000_000",
    "a state of a million keys": "msgspec.msgpack.encode({'t': 'done', 'view': {str(n): b'0' for n in range(1_000_000)}})",
    "a call-back of empty maps": "bytes([0x84, 0xa1]) + b't' + bytes([0xa3]) + b'ask' + bytes([0xa1]) + b'n' + bytes([1, 0xa4]) + b'kind' + bytes([0xa3]) + b'log' + bytes([0xa4]) + b'body' + bytes([0x81, 0xa1]) + b'a' + bytes([0xdd]) + (20_000_000).to_bytes(4, 'big') + bytes([0x80]) * 20_000_000",
    "values of lists in lists": "msgspec.msgpack.encode({'t': 'done', 'view': {str(n): b'[' * 900 + b']' * 900 for n in range(10_000)}})",
    "a value of empty lists": "msgspec.msgpack.encode({'t': 'done', 'view': {'a': b'[' + b'[],' * 2_000_000 + b'[]]'}})",
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_an_answer_that_was_forged_to_grow_holds_nobody_up(bomb: str, tmp_path: Path) -> None:
    async def hold() -> None:
        body = FORGED.replace("{body}", BOMBS[bomb])
        files = {
            "agent_settings/rules.txt": RULES,
            "functions/act.py": function(body + "return 'x'\n" if "\n" in body else body),
        }
        async with serving(write(tmp_path, files), script(CALLS)) as talk:
            one = talk()
            await one.open()
            longest, done = 0.0, False

            async def tick() -> None:
                nonlocal longest
                while not done:
                    began = time.monotonic()
                    await asyncio.sleep(0.005)
                    longest = max(longest, time.monotonic() - began)

            ticking = asyncio.create_task(tick())
            await one.say("act")
            done = True
            await ticking
            assert longest < 1.5, f"{longest:.1f} s in which nobody else was answered"  # it was 20 s

    run(hold())


def test_state_that_is_too_large_is_not_kept_and_says_so(tmp_path: Path) -> None:
    body = (
        "if conv.state.n is None:\n    conv.state.n = 1\n    return 'x'\nconv.state.big = 'x' * 20_000_000\nreturn 'x'"
    )
    talk = converse(tmp_path, {"functions/act.py": function(body)}, "act", "act", "hello")
    assert "larger than 8 MiB" in talk.replies[-2]["metadata"]["notices"][0]["message"] and "big" not in talk.state


def test_odd_things_in_a_folder_are_left_out(tmp_path: Path) -> None:
    folder = write(tmp_path, {"functions/act.py": function("return 'x'")})
    os.mkfifo(folder / "functions" / "p.py")
    (folder / "functions" / "gone.py").symlink_to("nowhere.py")
    (folder / "functions" / "c.py").symlink_to("d.py")
    (folder / "functions" / "d.py").symlink_to("c.py")
    (folder / "topics").symlink_to(".")
    os.close(os.open(os.fsencode(folder) + b"/functions/\xff.py", os.O_CREAT))
    assert set(read_tree(folder).files) == {"project.yaml", "functions/act.py", "agent_settings/rules.txt"} - {
        "agent_settings/rules.txt"
    }


@pytest.mark.parametrize("pattern", ["a{99999999999}", "(", "(?P<x>", "\\"])
def test_a_pattern_that_cannot_be_compiled_is_a_fault(pattern: str, tmp_path: Path) -> None:
    text = f"phrase_filtering:\n- name: p\n  regular_expressions:\n  - '{pattern}'\n"
    found = load(read_tree(write(tmp_path, {"voice/response_control/phrase_filtering.yaml": text})))
    assert "bad-regex" in {f.code for f in found.errors}
