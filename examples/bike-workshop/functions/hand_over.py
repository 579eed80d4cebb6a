from _gen import *


@func_description("Passes the caller on to a person in the workshop.")
@func_parameter("reason", "What the caller wants, in a few words.")
def hand_over(conv: Conversation, reason: str):
    conv.state.outcome = "handed over"
    conv.call_handoff(
        "Workshop manager",
        reason=reason or "asked for a person",
        utterance="Of course, I will put you through to the workshop. One moment, please.",
    )
