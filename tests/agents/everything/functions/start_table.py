from _gen import *


@func_description("Begins to book a table.")
def start_table(conv: Conversation):
    conv.goto_flow("Table")
