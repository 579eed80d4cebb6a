from _gen import *


@func_description("Goes back to choosing the day. Call it when the caller says no or wants something about the booking changed.")
def change_booking(conv: Conversation, flow: Flow):
    flow.goto_step("What and when", "Change")
    return 'Say: "No problem, let us go through it again. What shall I change: the day, or what needs doing?"'
