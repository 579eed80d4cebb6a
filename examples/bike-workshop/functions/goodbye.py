from _gen import *


@func_description("Says goodbye and ends the call. Call it when the caller has nothing more to ask.")
def goodbye(conv: Conversation):
    return {"utterance": "Thank you for calling Spoke and Chain. Ride safely, goodbye!", "hangup": True}
