from _gen import *


@func_description("Ends the look-up. Call it when the caller is content, agrees or has nothing to change.")
def leave_repair(conv: Conversation, flow: Flow):
    conv.exit_flow()
    return {"utterance": "Very well. Is there anything else I can do for you?"}
