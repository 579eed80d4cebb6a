from _gen import *


@func_latency_control(delay_before_responses_start=1, silence_after_each_response=1, delay_responses=[("I am looking you up, $guest.", 2)])
def look_up_guest(conv: Conversation, flow: Flow):
    flow.goto_step("Details")
