"""What versions cost: publishing a large folder, the first conversation on a new version, what a change of version does to those who
talk, and what the command-line client's pull and push of such a folder take.

    python bench/versions.py [--topics 2000] [--functions 200] [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import aiohttp

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
sys.path.insert(0, str(HERE.parent))
from tests.support.commands import batch  # noqa: E402

from turn import KEY, Server, percentile  # noqa: E402

PORT = 8403
AGENT = "large"
SCRIPT = "rules:\n  - when: {said: act, tool: act_0}\n    call: {name: act_0}\notherwise: 'Go on.'\n"
FUNCTION = "from _gen import *\n\n\n@func_description(\"Acts.\")\ndef {name}(conv: Conversation):\n    return 'done'\n"


def folder(place: Path, topics: int, functions: int) -> None:
    files = {
        "project.yaml": f"project_id: {AGENT}\naccount_id: acme\n",
        "agent_settings/rules.txt": "Be brief. " + " ".join(f"{{{{fn:act_{n}}}}}" for n in range(functions)) + "\n",
        **{f"functions/act_{n}.py": FUNCTION.format(name=f"act_{n}") for n in range(functions)},
        **{
            f"topics/topic_{n}.yaml": f"name: topic {n}\ncontent: All about number {n}.\nexample_queries:\n- What of {n}?\n"
            for n in range(topics)
        },
    }
    for path, text in files.items():
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        (place / path).write_text(text)


class Client:
    def __init__(self, session: aiohttp.ClientSession) -> None:
        self.session = session

    async def call(self, method: str, path: str, body: object = None) -> tuple[dict[str, object], float]:
        """(answer, seconds)."""
        began = time.perf_counter()
        sent = {"data": io.BytesIO(body)} if isinstance(body, bytes) else {"json": body}
        async with self.session.request(
            method, f"http://127.0.0.1:{PORT}{path}", headers={"X-API-KEY": KEY}, **sent
        ) as reply:
            found = await reply.json()
            assert reply.status < 300, found
            return dict(found), time.perf_counter() - began

    async def open(self, environment: str = "sandbox") -> tuple[str, float]:
        found, seconds = await self.call("POST", f"/v1/agents/{AGENT}/debug-chat", {"clientEnv": environment})
        return str(found["conversationId"]), seconds

    async def say(self, id: str) -> float:
        body = {"clientEnv": "sandbox", "message": "act"}
        return (await self.call("POST", f"/v1/agents/{AGENT}/debug-chat/{id}", body))[1]


async def client_of_commands(client: Client) -> dict[str, float]:
    """Pulling the whole, pushing one change, changing everything at once; and a turn of somebody who talks meanwhile."""
    branches = f"/adk/v1/accounts/acme/projects/{AGENT}/branches"
    made, _ = await client.call("POST", f"/v1/agents/{AGENT}/branches", {"branchName": "work"})
    place = f"{branches}/{made['branchId']}"
    pulled, seconds = await client.call("GET", f"{place}/projection")
    found = {"pull s": seconds}
    topics = list(pulled["projection"]["knowledgeBase"]["topics"]["entities"])
    functions = pulled["projection"]["functions"]["functions"]["entities"]
    one = [("update_topic", {"id": topics[0], "content": "Another."})]
    every = [("update_topic", {"id": id, "content": "Others."}) for id in topics]
    every += [("update_function", {"id": id, "code": each["code"] + "# more\n"}) for id, each in functions.items()]
    sequence = int(pulled["lastKnownSequence"])
    for name, commands in (("push of one s", one), (f"push of {len(every)} s", every)):
        sent = batch(sequence, *commands)
        pushing = asyncio.create_task(client.call("POST", f"{place}/command-batch", sent))
        talking, turns = (await client.open())[0], []
        while not pushing.done():
            turns.append(await client.say(talking))
            await asyncio.sleep(0.1)
        _, found[name] = await pushing
        found[f"slowest turn during {name.removesuffix(' s')} ms"] = max(turns) * 1000
        sequence = int((await client.call("GET", f"{place}/projection"))[0]["lastKnownSequence"])
    return found


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--topics", type=int, default=2000)
    parser.add_argument("--functions", type=int, default=200)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="versions-"))
    folder(work / "agent", options.topics, options.functions)
    (work / "script.yaml").write_text(SCRIPT)
    line = [sys.executable, "-m", "vivavoce", "serve", str(work / "agent"), "--data", str(work / "data"),
            "--model", f"scripted:{work / 'script.yaml'}", "--port", str(PORT)]  # fmt: skip
    server = Server(line, PORT, {"VIVAVOCE_API_KEY": KEY, "VIVAVOCE_RETRIEVAL": "lexical"})
    found: dict[str, float] = {}
    try:
        await server.ready("/healthz")
        async with aiohttp.ClientSession() as session:
            client = Client(session)
            place = f"/v1/agents/{AGENT}/deployments"
            _, found["publishing s"] = await client.call("POST", f"{place}/publish", {})
            warm, firsts, after = [], [], []
            talking = (await client.open())[0]
            await client.say(talking)
            for n in range(8):
                for _ in range(5):  # after as long a pause as there is before the first on a new version
                    await asyncio.sleep(0.3)
                    await client.call("GET", f"{place}/draft")
                    warm.append((await client.open())[1])
                steady = [await client.say(talking) for _ in range(5)]
                draft = (await client.call("GET", f"{place}/draft"))[0]["version"]
                rules = work / "agent/agent_settings/rules.txt"
                rules.write_text(f"Version {n}. " + rules.read_text())
                while (await client.call("GET", f"{place}/draft"))[0]["version"] == draft:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
                _, seconds = await client.call("POST", f"{place}/publish", {})
                found["publishing again s"] = max(found.get("publishing again s", 0.0), seconds)
                firsts.append((await client.open())[1])
                after += [await client.say(talking) for _ in range(5)]
                found.setdefault("turn before ms", 0.0)
                found["turn before ms"] += statistics.median(steady) * 1000 / 8
            found["warm opening ms"] = statistics.median(warm) * 1000
            found["first opening ms"] = statistics.median(firsts) * 1000
            found["slowest first opening ms"] = max(firsts) * 1000
            found["first / warm"] = found["first opening ms"] / found["warm opening ms"]
            found["turn after ms"] = statistics.median(after) * 1000
            found["slowest turn after ms"] = percentile(after, 0.99) * 1000
            found |= await client_of_commands(client)
    finally:
        server.stop()
    if options.json:
        print(json.dumps(found))
        return
    print(f"{options.topics:,} topics, {options.functions} functions\n\n| | |\n|---|---|")
    for name, value in found.items():
        print(f"| {name} | {value:.2f} |")


if __name__ == "__main__":
    asyncio.run(main())
