from _gen import *


@func_description("Leaves the repair as it is. Call it when the caller is content, says no to cancelling, or thanks you.")
def leave_repair(conv: Conversation, flow: Flow):
    conv.exit_flow()
    return {"utterance": "Very well. Is there anything else I can do for you?"}
