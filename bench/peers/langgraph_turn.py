"""LangGraph: a graph of a model and a tool, with its SQLite or PostgreSQL checkpointer.

python langgraph_turn.py PORT WORK MODEL STORE DURABILITY
"""

from __future__ import annotations

import sys
import uuid
from contextlib import asynccontextmanager

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, SystemMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.tools import tool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition
from serving import REPLY, RULES, look_up, serve

PORT, WORK, MODEL, STORE, DURABILITY = sys.argv[1:6]


class Stub(BaseChatModel):
    @property
    def _llm_type(self) -> str:
        return "stub"

    def bind_tools(self, tools, **kwargs):  # noqa: ANN001, ANN003, ANN201
        return self

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):  # noqa: ANN001, ANN003, ANN202
        if isinstance(messages[-1], ToolMessage):
            message = AIMessage(REPLY)
        else:
            message = AIMessage(
                "", tool_calls=[{"name": "look_up", "args": {"number": 7}, "id": f"c{uuid.uuid4().hex}"}]
            )
        return ChatResult(generations=[ChatGeneration(message=message)])

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs):  # noqa: ANN001, ANN003, ANN202
        return self._generate(messages)


tools = [tool(look_up)]
if MODEL == "stub":
    model = Stub().bind_tools(tools)
else:
    from langchain_openai import ChatOpenAI

    model = ChatOpenAI(model="fake", base_url=MODEL, api_key="x", streaming=True, stream_usage=True).bind_tools(tools)


async def think(state: MessagesState) -> dict[str, list[AIMessage]]:
    return {"messages": [await model.ainvoke([SystemMessage(RULES), *state["messages"]])]}


graph = StateGraph(MessagesState)
graph.add_node("model", think)
graph.add_node("tools", ToolNode(tools))
graph.add_edge(START, "model")
graph.add_conditional_edges("model", tools_condition)
graph.add_edge("tools", "model")
runnable = None


@asynccontextmanager
async def lifespan(app):  # noqa: ANN001, ANN201
    global runnable
    if STORE == "sqlite":
        from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

        async with AsyncSqliteSaver.from_conn_string(f"{WORK}/checkpoints.db") as saver:
            await saver.conn.execute("PRAGMA synchronous=FULL")
            runnable = graph.compile(checkpointer=saver)
            yield
    else:
        from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
        from psycopg.rows import dict_row
        from psycopg_pool import AsyncConnectionPool

        keywords = {"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row}
        async with AsyncConnectionPool(STORE, min_size=4, max_size=12, kwargs=keywords) as pool:
            saver = AsyncPostgresSaver(pool)
            await saver.setup()
            runnable = graph.compile(checkpointer=saver)
            yield


async def open_() -> str:
    return uuid.uuid4().hex


async def turn(id: str, message: str) -> str:
    config = {"configurable": {"thread_id": id}}
    more = {} if DURABILITY == "default" else {"durability": DURABILITY}
    found = await runnable.ainvoke({"messages": [("user", message)]}, config, **more)
    return found["messages"][-1].content


serve(int(PORT), open_, turn, lifespan)
