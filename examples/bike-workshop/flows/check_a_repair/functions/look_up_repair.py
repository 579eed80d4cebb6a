from _gen import *
from functions.workshop import WORDS, order_book, readable_day


@func_description("Looks a repair up by its number.")
@func_parameter("repair_number", "The four-digit repair number, digits only.")
def look_up_repair(conv: Conversation, flow: Flow, repair_number: str):
    repair = order_book(conv).repairs.get(repair_number)
    if repair is None:
        conv.state.lookups_failed = (conv.state.lookups_failed or 0) + 1
        if conv.state.lookups_failed >= 3:
            conv.state.outcome = "handed over"
            conv.call_handoff("Workshop manager", reason="repair not found", utterance="I cannot find it. Let me put you through to the workshop.")
            return None
        return 'Say: "I cannot find that number. Could you read it to me once more, digit by digit?"'
    conv.state.repair_number = repair_number
    when = readable_day(repair["day"])
    says = {
        "ready": f"your {WORDS[repair['service']]} is done and the bike can be collected",
        "in work": f"your {WORDS[repair['service']]} is being worked on and will be ready {when}",
        "waiting for a part": f"we are waiting for a part for your {WORDS[repair['service']]}; it should be ready {when}",
        "booked": f"your {WORDS[repair['service']]} is booked for {when}",
    }[repair["status"]]
    conv.state.repair_summary = says
    conv.state.outcome = "status told"
    flow.goto_step("Repair found", "Found")
    return f'Say: "I have it: {says}. Is that all right, or is there something to change?"'
