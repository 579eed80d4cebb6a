from _gen import *


@func_description("Call it when the caller does not have or cannot find the repair number.")
def no_repair_number(conv: Conversation, flow: Flow):
    conv.state.outcome = "handed over"
    return conv.call_handoff(
        "Workshop manager", reason="no repair number", utterance="Then the workshop has to look for it. I will put you through."
    )
