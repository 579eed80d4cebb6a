from _gen import *


@func_description("Asks the kitchen about a dish.")
@func_parameter("dish", "Which dish.")
@func_parameter("count", "How many.")
@func_parameter("spicy", "Whether hot.")
@func_parameter("budget", "How much at most.")
def ask_kitchen(conv: Conversation, dish: str, count: int, spicy: bool, budget: float):
    try:
        conv.api.kitchen.dish(dish, timeout=1)
    except Exception as error:
        return f"The kitchen does not answer: {type(error).__name__}."
