import re

from _gen import *


@func_description("Keeps who the booking is for.")
@func_parameter("name", "The caller's name.")
@func_parameter("phone_number", "The caller's telephone number, digits only.")
def save_customer(conv: Conversation, flow: Flow, name: str, phone_number: str):
    digits = re.sub(r"\D", "", phone_number)
    if not 7 <= len(digits) <= 15:
        return 'Say: "I did not get that number. Could you say it again, digit by digit?"'
    conv.state.customer_name = name.strip()
    conv.state.phone_number = digits
    flow.goto_step("Confirm", "Customer known")
