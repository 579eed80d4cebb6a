from _gen import *


def note_table(conv: Conversation, flow: Flow):
    conv.state.noted = f"{conv.entities.full_name.value} {conv.state.party}"
    flow.goto_step("Confirm")
