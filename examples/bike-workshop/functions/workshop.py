"""The workshop's order book: a stand-in for a real backend, kept in memory for the length of a conversation."""

from datetime import date, datetime, timedelta

from _gen import *

SERVICES = {"puncture": 15, "brakes": 30, "gears": 35, "full service": 90}
TIMES = ("09:00", "11:30", "14:00", "16:00")
WORDS = {"brakes": "brake service", "gears": "gear service", "puncture": "puncture repair", "full service": "full service"}


class OrderBook:
    """Everything in it follows from the day it is opened on, so every conversation begins alike."""

    def __init__(self):
        today = date.today()
        self.repairs = {
            "1042": {"service": "full service", "status": "ready", "day": today},
            "1057": {"service": "gears", "status": "in work", "day": today + timedelta(days=1)},
            "1063": {"service": "brakes", "status": "waiting for a part", "day": today + timedelta(days=4)},
        }

    def free_times(self, day: date, open_days: str) -> list:
        """Two or three times on a day the shop is open; none on another."""
        if str(day.weekday()) not in open_days:
            return []
        skipped = day.toordinal() % len(TIMES)
        return [time for place, time in enumerate(TIMES) if place != skipped]

    def book(self, service: str, day: date, time: str) -> str:
        number = str(1070 + (day.toordinal() * 7 + TIMES.index(time)) % 900)
        self.repairs[number] = {"service": service, "status": "booked", "day": day, "time": time}
        return number

    def cancel(self, number: str) -> bool:
        return self.repairs.pop(number, None) is not None


def order_book(conv: Conversation) -> OrderBook:
    """The order book lives in the conversation's state, so it is there on every turn."""
    if not isinstance(conv.state.order_book, OrderBook):
        conv.state.order_book = OrderBook()
    return conv.state.order_book


@func_description("Opens the order book. The other functions do so by themselves; it is for nobody to call.")
def workshop(conv: Conversation):
    order_book(conv)


def readable_day(day: date) -> str:
    today = date.today()
    if day == today:
        return "today"
    if day == today + timedelta(days=1):
        return "tomorrow"
    return f"{day:%A} the {ordinal(day.day)} of {day:%B}"


def readable_time(time: str) -> str:
    return datetime.strptime(time, "%H:%M").strftime("%I:%M %p").lstrip("0").lower().replace(":00", "")


def spoken_list(items: list) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} or {items[-1]}"


def ordinal(number: int) -> str:
    if 10 <= number % 100 <= 20:
        return f"{number}th"
    return f"{number}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th') }".replace(" ", "")
