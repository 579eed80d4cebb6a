"""The server's side of author functions: starts zygotes, keeps workers warm, and kills what hangs."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from vivavoce.domain.agent import Agent, Function
from vivavoce.domain.conversation import Conversation
from vivavoce.errors import NOT_JSON
from vivavoce.functions import frames
from vivavoce.functions.connection import Worker, WorkerDied
from vivavoce.functions.interface import Answer, FunctionsUnavailable, Outcome, View
from vivavoce.functions.process import Zygote, sweep
from vivavoce.functions.sandbox import Guards

log = logging.getLogger(__name__)

BOOT_SECONDS = 60.0  # to import a whole folder
MAX_ZYGOTES = 16


class Host:
    """A FunctionExecutor over processes. `agent_of` gives the agent and the Python files of a tree by its hash."""

    def __init__(
        self,
        agent_of: Callable[[str], Awaitable[tuple[Agent, dict[str, bytes]]]],
        *,
        workers: int = 64,
        memory_bytes: int = 1 << 30,
        isolate: bool = True,
        closed_ports: Sequence[int] = (),
        has_network: bool = True,
        bubblewrap: bool = False,
    ) -> None:
        """Author code connects to none of the `closed_ports`, and to nothing at all without `has_network`."""
        self._boot_options = {"closed_ports": list(closed_ports), "has_network": has_network}
        self._bubblewrap = bubblewrap
        sweep()
        self._agent_of = agent_of
        self._most_workers = workers
        self._memory_bytes = memory_bytes
        self._isolate = isolate
        self._zygotes: OrderedDict[str, asyncio.Task[Zygote]] = OrderedDict()
        self._workers: OrderedDict[tuple[str, str, str], Worker] = OrderedDict()
        self.guards: Guards | None = None

    async def prepare(self, tree: str) -> dict[str, str]:
        """Starts the tree's zygote; returns modules that cannot be imported, with the reason."""
        return (await self._zygote(tree)).failures

    async def call(
        self, function: Function, arguments: dict[str, Any], view: View, answer: Answer, *, timeout: float
    ) -> Outcome:
        key = _key(view.conversation)
        for attempt in (1, 2):
            worker = self._workers.get(key)
            is_warm = worker is not None and worker.serves(view)
            try:
                if worker is None or not is_warm:
                    worker = await self._start(key, view)
                self._workers.move_to_end(key)
                return await worker.call(function, arguments, view, answer, timeout)
            except WorkerDied as death:
                self._drop(key)
                # A warm worker may have died since its last call through no fault of this one.
                if not death.had_begun and is_warm and attempt == 1:
                    continue
                return Outcome(error=death.reason)
            except FunctionsUnavailable as error:
                self._drop(key)
                return Outcome(error=error.message)
            except asyncio.CancelledError:
                self._drop(key)
                raise
        raise AssertionError("unreachable")

    async def evict(self, conversation: Conversation) -> None:
        self._drop(_key(conversation))

    async def close(self) -> None:
        for key in list(self._workers):
            self._drop(key)
        for task in self._zygotes.values():
            task.cancel()
            try:
                (await task).close()
            except (asyncio.CancelledError, Exception) as error:  # one that never started must not keep the others
                log.debug("a zygote had not started: %s", type(error).__name__)
        self._zygotes.clear()

    @property
    def warm(self) -> int:
        return len(self._workers)

    def _drop(self, key: tuple[str, str, str]) -> None:
        worker = self._workers.pop(key, None)
        if worker is not None:
            worker.close()

    async def _start(self, key: tuple[str, str, str], view: View) -> Worker:
        self._drop(key)
        zygote = await self._zygote(view.conversation.tree)
        worker = await zygote.fork()
        self._workers[key] = worker
        while len(self._workers) > self._most_workers:
            oldest = next((k for k, w in self._workers.items() if not w.is_busy and k != key), None)
            if oldest is None:
                break
            self._drop(oldest)
        return worker

    async def _zygote(self, tree: str) -> Zygote:
        task = self._zygotes.get(tree)
        if task is not None and task.done() and (task.cancelled() or task.exception() or task.result().is_dead):
            del self._zygotes[tree]
            task = None
        if task is None:
            task = self._zygotes[tree] = asyncio.create_task(self._boot(tree))
            self._retire()
        self._zygotes.move_to_end(tree)
        zygote = await asyncio.shield(task)
        self.guards = zygote.guards
        return zygote

    def _retire(self) -> None:
        """The least recently used trees give up their processes when there are too many."""
        for tree, task in list(self._zygotes.items()):
            if len(self._zygotes) <= MAX_ZYGOTES:
                return
            if not task.done():
                continue
            if task.cancelled() or task.exception():
                del self._zygotes[tree]
            elif not any(w.is_busy for w in self._workers.values() if w.zygote is task.result()):
                del self._zygotes[tree]
                task.result().close()  # its warm workers go with it; they were only a cache

    async def _boot(self, tree: str) -> Zygote:
        agent, files = await self._agent_of(tree)
        zygote = Zygote(bubblewrap=self._bubblewrap)
        try:
            await asyncio.wait_for(
                zygote.boot({**_boot_message(agent, files, self._memory_bytes, self._isolate), **self._boot_options}),
                BOOT_SECONDS,
            )
        except TimeoutError:
            zygote.close()
            raise FunctionsUnavailable(
                f"The folder's functions took more than {BOOT_SECONDS:.0f} s to import."
            ) from None
        except (OSError, frames.Closed, *NOT_JSON) as error:
            zygote.close()
            raise FunctionsUnavailable("The process for the folder's functions could not be started.") from error
        except BaseException:
            zygote.close()
            raise
        if not self._boot_options["has_network"] and not zygote.guards.no_network:
            zygote.close()
            raise FunctionsUnavailable(
                "Author code is to have no network (VIVAVOCE_FUNCTION_NETWORK), which this machine cannot see to without "
                "root, user namespaces or bubblewrap."
            )
        return zygote


def _key(conversation: Conversation) -> tuple[str, str, str]:
    return (conversation.account_id, conversation.agent_id, conversation.id)


def _boot_message(agent: Agent, files: dict[str, bytes], memory_bytes: int, isolate: bool) -> dict[str, Any]:
    functions = [*agent.functions.values()]
    for group in (agent.flow_functions, agent.step_functions):
        functions.extend(f for by_name in group.values() for f in by_name.values())
    return {
        "files": files,
        "modules": sorted({f.module for f in functions}),
        "memory_bytes": memory_bytes,
        "isolate": isolate,
        "project": {
            "functions": {f.name: f.module for f in agent.functions.values()},
            "flow_functions": {
                flow: {f.name: f.module for f in by.values()} for flow, by in agent.flow_functions.items()
            },
            "apis": {name: [o.name for o in api.operations] for name, api in agent.api_integrations.items()},
            "variants": agent.variants.attributes,
            "translations": agent.translations,
            "languages": list(agent.languages.all),
            "default_language": agent.languages.default,
            "sms_templates": {n: {"text": t.text, "senders": t.senders} for n, t in agent.sms_templates.items()},
            "handoffs": {
                n: {
                    "method": h.method,
                    "is_default": h.is_default,
                    "sip_headers": h.sip_headers,
                    "sip_config": {
                        k: v
                        for k, v in {
                            "phone_number": h.phone_number,
                            "outbound_endpoint": h.outbound_endpoint,
                            "outbound_encryption": h.outbound_encryption,
                        }.items()
                        if v
                    },
                }
                for n, h in agent.handoffs.items()
            },
            "csat_flow": next((name for name in agent.flows if name.lower() == "csat"), None),
        },
    }
