from _gen import *


@func_description("Confirms the table.")
@func_parameter("tone", "How to say it.")
def confirm_table(conv: Conversation, flow: Flow, tone: str):
    conv.send_sms_template(conv.caller_number, "reminder")
    conv.exit_flow()
    return {"utterance": "It is booked.", "content": "booked"}
