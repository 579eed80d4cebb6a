from _gen import *


def end_function(conv: Conversation):
    conv.send_email("desk@example.org", f"{conv.state.guest} called", subject="A call")
    conv.write_metric("ENDED_IN", conv.current_flow or "none")
