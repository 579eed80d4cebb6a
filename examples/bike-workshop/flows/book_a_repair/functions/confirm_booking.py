from _gen import *
from functions.workshop import order_book


@func_description("Books the repair. Call it when the caller agrees, confirms or says yes.")
@func_latency_control(
    delay_before_responses_start=1,
    silence_after_each_response=4,
    delay_responses=[("One moment, I am writing it into the book.", 2)],
)
def confirm_booking(conv: Conversation, flow: Flow):
    number = order_book(conv).book(conv.state.service, conv.state.wanted_day, conv.state.time)
    conv.state.booking_number = number
    conv.state.outcome = "booked"
    conv.write_metric("BOOKED", conv.state.service)
    conv.send_sms_template(conv.state.phone_number, "booking_confirmation")
    conv.exit_flow()
    spoken = ", ".join(number)
    return {
        "utterance": f"It is booked, {conv.state.booked_for}. Your repair number is {spoken}; I have sent it to you as a text message. Is there anything else?"
    }
