from _gen import *


@func_description("Gives the booking up. Call it when the caller no longer wants to book at all.")
def leave_booking(conv: Conversation, flow: Flow):
    conv.state.outcome = "booking given up"
    conv.exit_flow()
    return 'Say: "All right, I have not booked anything. Is there something else I can do for you?"'
