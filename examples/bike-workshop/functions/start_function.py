from datetime import date

from _gen import *
from functions.workshop import order_book, ordinal


def start_function(conv: Conversation):
    today = date.today()
    conv.state.today = today.isoformat()
    conv.state.today_readable = f"{today:%A} the {ordinal(today.day)} of {today:%B %Y}"
    conv.state.outcome = "question"
    order_book(conv)
    conv.write_metric("SITE", conv.variant_name, write_once=True)
