from _gen import *


@func_description("Uses the rest of what there is.")
def use_everything(conv: Conversation):
    conv.set_voice(ElevenLabsVoice(provider_voice_id="v"))
    conv.set_asr_biasing(keywords=["cellar"])
    conv.disable_kb_topics(["parking"])
    conv.attachments.append(Attachment(content_url="https://example.org/menu.png", content_type="image"))
    conv.response_suggestions.append("The menu, please")
    conv.webchat.set_chat_call_actions([ChatCallAction(contact_number="+442079460018", title="Call")])
    conv.set_variant("hill")
    conv.set_language("fr-FR")
    conv.log.info("used", is_pii=False)
    conv.write_metric("USED", 1, write_once=True)
    day = conv.utils.validate_entity("tomorrow", conv.utils.DateConfig())
    conv.state.found = [
        day.value,
        conv.real_time_config.get("chef"),
        conv.utils.get_secret("till"),
        conv.translations.goodbye,
        conv.functions.change_subject(),
        conv.handoffs["kitchen"].sip_type,
        conv.sms_templates["reminder"].phone_number,
        sorted(conv.variants),
        conv.variant.site,
    ]
    conv.state.event = conv.generate_external_event(send_to_llm=True)
    conv.discard_recording()
    return "Used."
