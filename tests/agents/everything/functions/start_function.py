from _gen import *


def start_function(conv: Conversation):
    conv.state.guest = conv.memory.get("guest") or "Ada"
    conv.state.ticket = f"T-{conv.id}"
