from _gen import *


@func_description("Keeps the repair after all. Call it when the caller says no.")
def keep_repair(conv: Conversation, flow: Flow):
    conv.exit_flow()
    return {"utterance": "All right, it stays as it is. Is there anything else I can do for you?"}
