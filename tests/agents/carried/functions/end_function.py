from _gen import *  # <AUTO GENERATED>


def end_function(conv: Conversation):
    conv.log.info("over", guest=conv.state.guest)
