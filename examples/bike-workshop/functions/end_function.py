from _gen import *


def end_function(conv: Conversation):
    conv.write_metric("OUTCOME", conv.state.outcome)
    if conv.current_flow:
        conv.write_metric("LEFT_IN", f"{conv.current_flow} / {conv.current_step}")
    conv.log.info("conversation ended", turns=len(conv.history), outcome=conv.state.outcome)
