from _gen import *
from functions.workshop import WORDS, readable_time


@func_description("Keeps the time that the caller has chosen.")
@func_parameter("time", "The chosen time, in the format HH:MM on a 24-hour clock.")
def take_time(conv: Conversation, flow: Flow, time: str):
    if time not in (conv.state.times or []):
        return f'Say: "I am afraid that is not free. I have {conv.state.free_times}. Which would suit you?"'
    conv.state.time = time
    conv.state.booked_service = WORDS[conv.state.service]
    conv.state.booked_for = f"{conv.state.wanted_day_readable} at {readable_time(time)}"
    if conv.state.customer_name:
        flow.goto_step("Confirm", "Customer known")
    else:
        flow.goto_step("Who", "Time chosen")
