from _gen import *  # <AUTO GENERATED>


@func_latency_control(delay_before_responses_start=0, silence_after_each_response=3, delay_responses=[('I am looking', 2)])
def look_up(conv: Conversation, flow: Flow):
    conv.exit_flow()
    return "Found."
