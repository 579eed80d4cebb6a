from _gen import *  # <AUTO GENERATED>


@func_description('Takes the code.')
@func_parameter('code', 'Three letters and three digits')
def take_code(conv: Conversation, flow: Flow, code: str):
    conv.state.code = code
    flow.goto_step("look_up")
