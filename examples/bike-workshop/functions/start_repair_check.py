from _gen import *


@func_description("Begins looking up a repair that was booked or brought in, also in order to cancel it.")
def start_repair_check(conv: Conversation):
    conv.write_metric("CHECK_STARTED", write_once=True)
    conv.goto_flow("Check a repair")
