"""Author code runs elsewhere, under guards: it can break its own call, and nothing else."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

from tests.integration.test_turns import CALLS, RULES, converse, function
from tests.support.talk import Talk, run, script, serving, write
from vivavoce.functions.process import sweep
from vivavoce.service import chats
from vivavoce.store.interface import StoreError


def event(tmp_path: Path, body: str, **overrides: Any) -> tuple[dict[str, Any], Talk]:
    talk = converse(tmp_path, {"functions/act.py": function(body)}, "act", "hello", **overrides)
    assert talk.replies[-1]["response"] == "plain words"  # whatever happened, the next turn is fine
    return talk.replies[-2]["metadata"]["functionEvents"][0], talk


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ("raise ValueError('no such day')", "ValueError: no such day (functions/act.py:5)"),
        ("import os\nos._exit(3)", "The function's process ended before it answered."),
        ("import sys\nsys.exit(1)", "SystemExit: 1 (functions/act.py:6)"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)", "The function's process ended before it answered."),
        ("x = bytearray(8 << 30)\nreturn 'got it'", "MemoryError"),
        ("x = []\nwhile True:\n    x.append(bytearray(1 << 24))", "MemoryError"),
        ("def deep():\n    return deep()\ndeep()", "RecursionError: maximum recursion depth exceeded"),
        ("return conv.functions.act(nonsense=1)", "TypeError: act() got an unexpected keyword argument 'nonsense'"),
        (
            "class Odd(Exception):\n    def __str__(self):\n        raise RuntimeError\nraise Odd",
            "Odd (functions/act.py",
        ),
    ],
)
def test_a_function_that_fails_is_an_error_on_its_event_and_nothing_more(body: str, error: str, tmp_path: Path) -> None:
    found, _ = event(tmp_path, body)
    assert found["error"].startswith(error)


@pytest.mark.parametrize("body", ["import time\ntime.sleep(60)", "while True: pass"])
def test_a_function_that_hangs_is_stopped_at_its_time_limit(body: str, tmp_path: Path) -> None:
    found, _ = event(tmp_path, body, function_timeout_seconds=0.3)
    assert found["error"] == "The function took more than 0.3 s and was stopped."


def test_state_from_before_a_crash_is_still_there(tmp_path: Path) -> None:
    body = "if conv.state.kept:\n    import os\n    os._exit(1)\nconv.state.kept = {'a': {1, 2}}\nreturn 'x'"
    talk = converse(tmp_path, {"functions/act.py": function(body)}, "act", "act", "hello")
    assert talk.state["kept"] == {"a": [1, 2]}


def test_state_keeps_live_python_objects_across_turns_without_the_worker(tmp_path: Path) -> None:
    async def hold() -> None:
        body = (
            "from datetime import datetime, timedelta\nfrom zoneinfo import ZoneInfo\n"
            "if conv.state.zone is None:\n    conv.state.zone = ZoneInfo('Europe/London')\n    conv.state.at = datetime(2026, 5, 1, tzinfo=conv.state.zone)\n"
            "    conv.state.seen = {1}\n    conv.state.same = conv.state.seen\n    conv.variant.site = 'Leeds'\n    return 'first'\n"
            "conv.state.seen.add(2)\n"
            "return f'{conv.state.at + timedelta(days=1):%d %b %Z} {sorted(conv.state.same)} {type(conv.state.zone).__name__} {conv.variant.site}'"
        )
        variants = "variants:\n- name: v\n  is_default: true\nattributes:\n- name: site\n  values: {v: York}\n"
        files = {
            "agent_settings/rules.txt": RULES,
            "functions/act.py": function(body),
            "config/variant_attributes.yaml": variants,
        }
        async with serving(write(tmp_path, files), script(CALLS), evicting=True) as talk:
            one = talk()
            await one.open()
            await one.say("act")
            assert (await one.say("act"))["response"] == "after act: 02 May BST [1, 2] ZoneInfo Leeds"

    run(hold())


def test_a_value_that_cannot_be_kept_is_dropped_alone_with_a_notice(tmp_path: Path) -> None:
    async def hold() -> None:
        body = "conv.state.lock = __import__('threading').Lock()\nconv.state.fine = 1\nreturn 'x'"
        files = {"agent_settings/rules.txt": RULES, "functions/act.py": function(body)}
        async with serving(write(tmp_path, files), script(CALLS), evicting=True) as talk:
            one = talk()
            await one.open()
            reply = await one.say("act")
            assert "conv.state.lock cannot be kept" in reply["metadata"]["notices"][0]["message"]
            assert (await one.say("hello"))["metadata"]["state"]["fine"] == 1

    run(hold())


def test_prints_and_logs_are_on_the_event(tmp_path: Path) -> None:
    body = "import logging, plog\nprint('printed')\nlogging.getLogger('x').warning('logged %d', 1)\nplog.info('plogged', n=2)\nconv.log.error('told', is_pii=True, why='x')\nreturn 'x'"
    found, _ = event(tmp_path, body)
    logs = {logger: [(e["level"], e["content"]) for e in entries] for logger, entries in found["logs"].items()}
    assert logs == {
        "print": [("info", "printed")],
        "logging": [("warning", "logged 1")],
        "plog": [("info", "plogged")],
        "conversation_logger": [("error", "told")],
    }
    assert found["logs"]["plog"][0]["n"] == 2 and found["logs"]["conversation_logger"][0]["is_pii"] is True


def test_module_globals_belong_to_one_conversation(tmp_path: Path) -> None:
    async def hold() -> None:
        code = "from functions.shared import seen\n" + function(
            "seen.append(word)\nreturn str(seen)", parameters=", word: str"
        )
        files = {"agent_settings/rules.txt": RULES, "functions/act.py": code, "functions/shared.py": "seen = []\n"}
        async with serving(write(tmp_path, files), script(CALLS)) as talk:
            one, two = talk(), talk()
            await one.open()
            await two.open()
            await one.say("act a")
            await two.say("act b")
            assert (await one.say("act c"))["response"] == "after act: ['a', 'c']"

    run(hold())


def test_imports_work_in_every_form_that_agents_use(tmp_path: Path) -> None:
    files = {
        "functions/act.py": "from __future__ import annotations\nimport plog\nfrom polyai.voice import ElevenLabsVoice\nfrom _gen.conversation import Variant\nfrom .helper import twice\nfrom flows.f.functions.go import go\n"
        + function(
            "conv.set_voice(ElevenLabsVoice(provider_voice_id='v'))\nfrom functions.lazy import word\nreturn twice(word)"
        ).replace("from _gen import *\n", ""),
        "functions/helper.py": "def twice(x):\n    return x + x\n",
        "functions/lazy.py": "from functions.act import act\nword = 'ho'\n",  # a ring of imports
        "flows/f/flow_config.yaml": "name: F\ndescription: d\nstart_step: S\n",
        "flows/f/steps/s.yaml": "step_type: advanced_step\nname: S\nprompt: p\n",
        "flows/f/functions/go.py": "def go(conv: Conversation, flow: Flow):\n    pass\n",  # the names of _gen without the import
    }
    reply = converse(tmp_path, files, "act").replies[-1]
    assert reply["metadata"]["functionEvents"][0]["error"] is None and reply["response"] == "after act: hoho"


def test_a_module_that_cannot_be_imported_breaks_only_its_own_function(tmp_path: Path) -> None:
    files = {
        "functions/act.py": "from functions.other import gone\n" + function("return 'x'"),
        "functions/other.py": function("return 'fine'", "other"),
    }
    model = CALLS.replace("rules:", "rules:\n  - when: {said: other, tool: other}\n    call: {name: other}", 1)
    talk = converse(tmp_path, files, "act", "other", model=model)
    assert "ImportError: cannot import name 'gone'" in talk.replies[-2]["metadata"]["functionEvents"][0]["error"]
    assert talk.replies[-1]["response"] == "after other: fine"


def test_the_conversations_own_clock_reaches_author_code(tmp_path: Path) -> None:
    body = (
        "import time, datetime as dt\nfrom datetime import datetime, date\n"
        "now = datetime.now(dt.timezone.utc)\nassert isinstance(now, datetime) and isinstance(date.today(), date) and not isinstance(1, datetime)\n"
        "return f'{now:%Y-%m-%d %H:%M} {date.today()} {datetime.fromtimestamp(time.time(), dt.timezone.utc):%Y} {time.strftime(\"%Y\")}'"
    )
    talk = converse(
        tmp_path, {"functions/act.py": function(body)}, "act", opening={"simulated_at": "2031-02-03T04:05:00Z"}
    )
    assert talk.replies[-1]["response"] == "after act: 2031-02-03 04:05 2031-02-03 2031 2031"


GUARDS = {
    "read the server's environment": "print(open(f'/proc/{pid}/environ', 'rb').read())",
    "read the server's memory": "open(f'/proc/{pid}/mem', 'rb').read(1)",
    "read the key file": "print(open(key).read())",
    "read the database": "print(open(database, 'rb').read(10))",
    "read the password file": "print(open('/etc/shadow').read())",
    "write outside of its own folder": "open('/var/tmp/vivavoce-was-here', 'w').write('x')",
    "write beside the key file": "open(key + '.new', 'w').write('x')",
    "signal the server": "os.kill(pid, 0)",
    "trace the server": "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\nif libc.ptrace(16, pid, 0, 0) != 0: raise PermissionError",
    "list the server's files": "print(os.listdir(os.path.dirname(key)))",
    "become root again": "os.chroot('/')",
    "limit the server": "import resource\nresource.prlimit(pid, resource.RLIMIT_CPU, (1, 1))",
    "slow the server down": "os.setpriority(os.PRIO_PROCESS, pid, 19)",
    "slow everything of its user down": "os.setpriority(os.PRIO_USER, 0, 19)",
    "move the server to another core": "os.sched_setaffinity(pid, {0})",
    "stop the process that it was forked from": "import signal\nos.kill(os.getppid(), signal.SIGSTOP)",
    "trace the process that it was forked from": "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\nif libc.ptrace(16, os.getppid(), 0, 0) != 0: raise PermissionError",
    "read that one's memory": "open(f'/proc/{os.getppid()}/mem', 'rb').read(1)",
    "end every process that it can": "os.kill(-1, 9)",
    "leave its process group": "os.setsid()",
    "make another's file its own": "os.chmod('/usr/lib/os-release', 0o666)",
    "change the mode of a library": "os.fchmod(os.open(os.__file__, os.O_RDONLY), 0o666)",
    "change the times of a library": "os.utime(os.__file__, (0, 0))",
    "mark a library": "os.setxattr(os.__file__, 'user.x', b'1')",
    "send to a Unix socket": "import socket\na, _ = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)\na.sendto(b'x', '/dev/log')",
    "open a Unix socket": "import socket\nsocket.socket(socket.AF_UNIX)",
    "talk to the machine's host": "import socket\nsocket.socket(40)",
    "get past the closed ports by another TCP": "import socket\nsocket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)",
    "send with the opening of a connection": "import socket\nsocket.socket().sendto(b'x', 0x20000000, ('127.0.0.1', 9))",
    "connect with its first bytes": "import socket\nsocket.socket().setsockopt(6, 30, 1)",
    "keep memory that outlives it": "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\nif libc.shmget(0, 4096, 0o1600) < 0: raise PermissionError",
    "make a world of its own": "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\nif libc.unshare(0x10000000) != 0: raise PermissionError",
    "bring its own kernel calls": "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\nif libc.syscall(425, 1, 0) < 0: raise PermissionError",
}


@pytest.mark.parametrize("attempt", GUARDS)
def test_author_code_may_not(attempt: str, tmp_path: Path) -> None:
    async def hold() -> None:
        data = tmp_path / "data"
        lines = "\n".join(f"    {line}" for line in GUARDS[attempt].split("\n"))
        body = f"import os\npid, key, database = {os.getpid()}, {str(data / 'api-key')!r}, {str(data / 'vivavoce.db')!r}\ntry:\n{lines}\nexcept (OSError, PermissionError) as error:\n    return type(error).__name__\nreturn 'SUCCEEDED'"
        files = {"agent_settings/rules.txt": RULES, "functions/act.py": function(body)}
        (data).mkdir()
        (data / "api-key").write_text("vv_secret\n")
        async with serving(write(tmp_path / "agent", files), script(CALLS), data=data) as talk:
            one = talk()
            await one.open()
            reply = await one.say("act")
            assert reply["metadata"]["functionEvents"][0]["error"] is None
            assert reply["response"] in (
                "after act: PermissionError",
                "after act: ProcessLookupError",
                "after act: FileNotFoundError",
            ), reply["response"]

    run(hold())


ORDINARY = {
    "threads": "import threading\nt = threading.Thread(target=lambda: None)\nt.start()\nt.join()",
    "processes": "import subprocess, sys\nassert subprocess.run([sys.executable, '-c', 'print(1)'], capture_output=True).stdout == b'1\\n'",
    "forks": "pid = os.fork()\nif pid == 0: os._exit(7)\nassert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7",
    "names": "import socket\nassert socket.getaddrinfo('localhost', 80)",
    "datagrams": "import socket\nsocket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', 9))",
    "pairs": "import socket\na, b = socket.socketpair()\na.send(b'x')\nassert b.recv(1) == b'x'",
    "an event loop": "import asyncio\nassert asyncio.run(asyncio.sleep(0, 'x')) == 'x'",
    "its own files": "import tempfile\nwith tempfile.NamedTemporaryFile('w+') as file:\n    file.write('x')",
    "its own limits": "import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, (64, 256))",
    "a pool": "from concurrent.futures import ThreadPoolExecutor\nwith ThreadPoolExecutor(4) as pool:\n    assert sum(pool.map(int, '123')) == 6",
}


@pytest.mark.parametrize("what", ORDINARY)
def test_author_code_has_the_use_of(what: str, tmp_path: Path) -> None:
    found, _ = event(tmp_path, f"import os\n{ORDINARY[what]}\nreturn 'fine'")
    assert found["content"] == "fine", found["error"]


def test_author_code_sees_nothing_of_the_servers_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    found, _ = event(tmp_path, "import os\nreturn str(sorted(os.environ))")
    assert found["content"] == "['LC_CTYPE', 'TMPDIR']" or found["content"] == "['TMPDIR']"


def test_author_code_may_not_open_the_memory_of_another_worker(tmp_path: Path) -> None:
    async def hold() -> None:
        body = "import os\nif word == 'pid':\n    return str(os.getpid())\ntry:\n    open(f'/proc/{word}/mem', 'rb')\nexcept OSError as error:\n    return type(error).__name__\nreturn 'SUCCEEDED'"
        files = {"agent_settings/rules.txt": RULES, "functions/act.py": function(body, parameters=", word: str")}
        async with serving(write(tmp_path, files), script(CALLS)) as talk:
            one, two = talk(), talk()
            await one.open()
            await two.open()
            pid = (await one.say("act pid"))["response"].removeprefix("after act: ")
            assert (await two.say(f"act {pid}"))["response"] in (
                "after act: PermissionError",
                "after act: FileNotFoundError",
            )

    run(hold())


def test_one_conversations_hang_does_not_hold_up_another(tmp_path: Path) -> None:
    import asyncio

    async def hold() -> None:
        body = "import time\nif word == 'slow':\n    time.sleep(1)\nreturn word"
        files = {"agent_settings/rules.txt": RULES, "functions/act.py": function(body, parameters=", word: str")}
        async with serving(write(tmp_path, files), script(CALLS)) as talk:
            one, two = talk(), talk()
            await one.open()
            await two.open()
            slow = asyncio.create_task(one.say("act slow"))
            await two.say("act quick")
            assert not slow.done()
            assert (await slow)["response"] == "after act: slow"

    run(hold())


def test_an_effect_is_run_once_however_often_its_call_is_made(tmp_path: Path) -> None:
    body = (
        "conv.state.key = conv.idempotency_key\n"
        "runs = []\n"
        "try:\n"
        "    first = conv.once('a', lambda: runs.append(1) or {'day': 'Monday', 'n': 1})\n"
        "    again = conv.once('a', lambda: runs.append(2))\n"
        "    conv.once('b', lambda: 1 / 0)\n"
        "except ZeroDivisionError:\n"
        "    third = conv.once('b', lambda: 'worked')\n"
        "return f'{first} {again} {third} {runs}'"
    )
    found, talk = event(tmp_path, body)
    assert found["content"] == "{'day': 'Monday', 'n': 1} {'day': 'Monday', 'n': 1} worked [1]", found
    assert len(talk.state["key"]) == 32


def test_a_turn_that_is_taken_again_has_the_key_it_had_and_an_effect_that_was_cut_says_so(tmp_path: Path) -> None:
    """The first time the process dies in the middle of the effect; the second time the same message is sent again."""
    body = (
        "import os\n"
        "try:\n"
        "    return conv.once('cut', lambda: os._exit(3))\n"
        "except EffectUnsettled:\n"
        "    return conv.once('cut', lambda: conv.idempotency_key, again=True)\n"
    )
    files = {"agent_settings/rules.txt": RULES, "functions/act.py": function(body)}
    folder = write(tmp_path / "agent", files)

    async def go() -> None:
        async with serving(folder, script(CALLS), data=tmp_path / "data") as new:
            talk = new()
            await talk.open()

            async def lost(*_: Any, **__: Any) -> None:
                raise StoreError("The disk is away.")

            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(talk.started.store, "append", lost)
                with pytest.raises(StoreError):
                    await talk.say("act")
            found = (await talk.say("act"))["metadata"]["functionEvents"][0]
            assert len(found["content"]) == 32, found
            other = (await talk.say("act"))["metadata"]["functionEvents"][0]
            assert other["error"] == "The function's process ended before it answered."  # another turn, another effect

    run(go())


CONNECT = (
    "import socket\n"
    "try:\n"
    "    socket.create_connection(('127.0.0.1', int(word)), timeout=2).close()\n"
    "except OSError as error:\n"
    "    return type(error).__name__\n"
    "return 'CONNECTED'"
)


def connected(tmp_path: Path, port: int, **overrides: Any) -> str:
    files = {"functions/act.py": function(CONNECT, parameters=", word: str")}
    talk = converse(tmp_path, files, f"act {port}", **overrides)
    return str(talk.replies[-1]["response"]).removeprefix("after act: ")


def test_author_code_may_not_connect_to_the_store(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as store, socket.create_server(("127.0.0.1", 0)) as backend:
        closed, open_ = store.getsockname()[1], backend.getsockname()[1]
        assert connected(tmp_path / "a", closed, function_closed_ports=(closed,)) == "PermissionError"
        assert connected(tmp_path / "b", open_, function_closed_ports=(closed,)) == "CONNECTED"
        assert connected(tmp_path / "c", closed) == "CONNECTED"


def test_author_code_without_network_reaches_nothing(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as backend:
        assert connected(tmp_path, backend.getsockname()[1], function_network=False) in (
            "OSError",
            "ConnectionRefusedError",
        )


def test_what_killed_servers_left_in_the_temporary_folder_is_swept_and_nothing_else() -> None:
    dead = subprocess.Popen(["true"])
    dead.wait()
    gone = Path(tempfile.mkdtemp(prefix=f"vivavoce-{dead.pid}-"))
    kept = [
        Path(tempfile.mkdtemp(prefix=prefix)) for prefix in (f"vivavoce-{os.getpid()}-", "vivavoce-mine-", "other-1-")
    ]
    at, depth = (
        os.open(gone, os.O_RDONLY),
        2_000,
    )  # deeper than Python's own way of removing folders, and than a path may be
    for _ in range(depth):
        os.mkdir("d", dir_fd=at)
        below = os.open("d", os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    os.close(at)
    sweep()
    until = time.monotonic() + 30
    while gone.exists() and time.monotonic() < until:
        time.sleep(0.01)
    assert not gone.exists()
    assert all(path.exists() for path in kept)
    for path in kept:
        path.rmdir()


def test_a_conversation_that_was_idle_is_read_again_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chats, "SESSION_SECONDS", 0.0)
    body = "conv.state.n = (conv.state.n or 0) + 1\nreturn str(conv.state.n)"
    files = {"agent_settings/rules.txt": RULES, "functions/act.py": function(body)}

    async def go() -> None:
        async with serving(write(tmp_path / "agent", files), script(CALLS), data=tmp_path / "data") as new:
            talks = [new() for _ in range(3)]
            for talk in talks:
                await talk.open()
            for n in range(1, 4):
                for talk in talks:
                    assert (await talk.say("act"))["response"] == f"after act: {n}"
            assert len(talks[0].started.services.chats._sessions) == 1

    run(go())
