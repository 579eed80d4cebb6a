from datetime import date

from _gen import *
from functions.workshop import SERVICES, order_book, readable_day, readable_time, spoken_list


@func_description("Looks for free times once you know what is to be done and on which day.")
@func_parameter("service", 'What is to be done: one of "puncture", "brakes", "gears", "full service".')
@func_parameter("day", "The day, in the format YYYY-MM-DD.")
def check_day(conv: Conversation, flow: Flow, service: str, day: str):
    if service not in SERVICES:
        return 'Say: "Is it a puncture, the brakes, the gears, or a full service?"'
    try:
        wanted = date.fromisoformat(day)
    except ValueError:
        return 'Say: "Which day would suit you?"'
    conv.state.service = service
    if wanted < date.today():
        return 'Say: "That day has passed. Which day would suit you?"'
    times = order_book(conv).free_times(wanted, conv.variant.open_days)
    if not times:
        conv.log.info("no free times", day=day)
        return f'Say: "We are closed {readable_day(wanted)}. Which other day would suit you?"'
    conv.state.wanted_day = wanted
    conv.state.wanted_day_readable = readable_day(wanted)
    conv.state.times = times
    conv.state.free_times = spoken_list([readable_time(t) for t in times])
    flow.goto_step("Pick a time", "Free times found")
    return f'Say: "On {readable_day(wanted)} I have {conv.state.free_times}. Which would suit you?"'.replace("On today", "Today").replace("On tomorrow", "Tomorrow")
