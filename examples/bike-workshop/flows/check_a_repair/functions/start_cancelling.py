from _gen import *


@func_description("Asks whether to cancel the repair. Call it when the caller wants to cancel it.")
def start_cancelling(conv: Conversation, flow: Flow):
    flow.goto_step("Confirm cancelling", "Wants to cancel")
