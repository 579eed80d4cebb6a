from _gen import *


def change_subject(conv: Conversation):
    return "Speak of the menu instead."
