"""Helps whoever is lost."""

from _gen import *  # <AUTO GENERATED>
import json

from flows.book_a_room.functions.take_code import take_code


@func_description('Helps a guest who is lost. Call it when "nothing" fits.')
@func_parameter('reason', "What they've said")
@func_parameter('times', 'How often they asked')
@func_latency_control(delay_before_responses_start=1, silence_after_each_response=2, delay_responses=[('One moment', 2), ('{{tn:hello}}', 3)], randomize=True)
def help_out(conv: Conversation, reason: str, times: int):
    """Says what can be done."""
    conv.state.reason = json.dumps({"reason": reason, "times": times})
    return "Ask for the front desk."
