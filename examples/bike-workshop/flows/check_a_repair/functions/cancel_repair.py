from _gen import *
from functions.workshop import order_book


@func_description("Cancels the repair for good. Call it when the caller agrees or says yes.")
def cancel_repair(conv: Conversation, flow: Flow):
    order_book(conv).cancel(conv.state.repair_number)
    conv.state.outcome = "cancelled"
    conv.write_metric("CANCELLED", conv.state.repair_number)
    conv.exit_flow()
    spoken = ", ".join(conv.state.repair_number)
    return {"utterance": f"Repair {spoken} is cancelled. Is there anything else I can do for you?"}
