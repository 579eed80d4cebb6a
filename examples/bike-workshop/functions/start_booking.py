from _gen import *


@func_description("Begins a booking for a repair. Call it as soon as the caller wants to bring a bike in.")
def start_booking(conv: Conversation):
    conv.write_metric("BOOKING_STARTED", write_once=True)
    conv.state.outcome = "booking abandoned"
    conv.goto_flow("Book a repair")
