"""What an agent has once: persona, rules, channels, languages, guardrails."""

from __future__ import annotations

from vivavoce.project.projection import settings
from vivavoce.project.projection.commands.held import (
    Change,
    Payload,
    Refusal,
    add,
    collection_at,
    deletes,
    in_order,
    needed,
    updates,
)
from vivavoce.project.projection.parts import Json, mapping

_CHANNELS = ("voice", "webChat")


def _persona(projection: Json, payload: Payload) -> None:
    if "content" in payload:
        projection["agentSettings"]["persona"]["content"] = payload["content"]


def _rules(projection: Json, payload: Payload) -> None:
    if "behaviour" in payload:
        projection["agentSettings"]["rules"]["behaviour"] = payload["behaviour"]


def _channel(projection: Json, payload: Payload) -> Json:
    kind = payload["channelType"]
    if kind not in (0, 1):
        raise Refusal(f"there is no channel {kind} here")
    channel = projection["channels"][_CHANNELS[kind]]
    if not channel.get("status"):
        raise Refusal("the channel for web chat is switched off")
    config: Json = channel["config"]
    return config


def _greeting(projection: Json, payload: Payload) -> None:
    said = needed(payload, "greeting")
    _channel(projection, payload)["greeting"].update(
        {key: said[key] for key in ("welcomeMessage", "languageCode") if key in said}
    )


def _style(projection: Json, payload: Payload) -> None:
    _channel(projection, payload)["stylePrompt"]["prompt"] = needed(payload, "stylePrompt")["prompt"]


def _channel_filters(projection: Json, payload: Payload) -> None:
    _put_filters(_channel(projection, payload)["safetyFilters"], needed(payload, "safetyFilters"))


def _filters(projection: Json, payload: Payload) -> None:
    _put_filters(projection["contentFilterSettings"], payload)


def _put_filters(filters: Json, said: Payload) -> None:
    filters.update({key: said[key] for key in ("type", "disabled") if key in said})
    filters["azureConfig"].update(said.get("azureConfig") or {})


def _disclaimer(projection: Json, payload: Payload) -> None:
    said = needed(payload, "disclaimer")
    projection["channels"]["voice"]["disclaimer"].update(
        {key: said[key] for key in ("message", "isEnabled", "languageCode") if key in said}
    )


def _channel_status(projection: Json, payload: Payload) -> None:
    is_on = needed(payload, "webchat")["status"] == 1
    chat = projection["channels"]["webChat"]
    if is_on and not chat.get("status"):
        projection["channels"]["webChat"] = {"status": 1, "config": settings.no_chat()}
    elif not is_on:
        projection["channels"]["webChat"] = {"status": 0}


def _voice(key: str, said: str | None, *, is_merged: bool = False) -> Change:
    """Puts what stands under `said` of the payload (None: the payload itself) into the voice channel."""

    def change(projection: Json, payload: Payload) -> None:
        voice = projection["channels"]["voice"]
        value = payload if said is None else needed(payload, said)
        voice[key] = {**voice.get(key, {}), **value} if is_merged else value

    return change


def _voice_reset(key: str) -> Change:
    def change(projection: Json, payload: Payload) -> None:
        projection["channels"]["voice"].pop(key, None)

    return change


def _default_language(projection: Json, payload: Payload) -> None:
    projection["languages"]["defaultLanguageCode"] = payload["languageCode"]


def _language_add(projection: Json, payload: Payload) -> None:
    code = payload["code"]
    add(collection_at(projection, "languages", "additionalLanguages"), code, {"code": code}, "language")


def _experimental(projection: Json, payload: Payload) -> None:
    held = collection_at(projection, "experimentalConfig", "experimentalConfigs")
    id = next(iter(held["entities"]), settings.EXPERIMENTAL_ID)
    if id not in held["entities"]:
        add(held, id, {"active": True}, "configuration")
    held["entities"][id]["features"] = in_order(mapping(payload.get("features")))


def _guardrails(projection: Json, payload: Payload) -> None:
    known = projection.setdefault("guardrails", settings.no_guardrails())["guardrails"]
    for each in payload["guardrails"]:
        if not 0 < each["name"] <= len(settings.GUARDRAILS):
            raise Refusal(f"there is no guardrail {each['name']}")
        known[settings.GUARDRAILS[each["name"] - 1].upper()] = {"enabled": each["enabled"]}


def _custom_guardrail(projection: Json, payload: Payload) -> None:
    projection.setdefault("guardrails", settings.no_guardrails())
    add(collection_at(projection, "guardrails", "customGuardrails"), payload["id"], dict(payload), "guardrail")


CHANGES: dict[str, Change] = {
    "update_persona": _persona,
    "update_rules": _rules,
    "channel_update_greeting": _greeting,
    "channel_update_style_prompt": _style,
    "channel_update_safety_filters": _channel_filters,
    "channel_update_status": _channel_status,
    "update_content_filter_settings": _filters,
    "voice_channel_update_disclaimer": _disclaimer,
    "voice_channel_update_silence_filler_utterances": _voice("silenceFillerUtterances", "silenceFillerUtterances"),
    "voice_channel_reset_silence_filler_utterances": _voice_reset("silenceFillerUtterances"),
    "voice_channel_update_ambience": _voice("ambience", "ambience"),
    "voice_channel_update_vad_config": _voice("vadConfig", "vadConfig"),
    "voice_channel_reset_vad_config": _voice_reset("vadConfig"),
    "voice_channel_update_barge_in_config": _voice("bargeInConfig", None, is_merged=True),
    "voice_channel_reset_barge_in_config": _voice_reset("bargeInConfig"),
    "languages_update_default_language": _default_language,
    "languages_add_language": _language_add,
    "languages_delete_language": deletes("language", "languages", "additionalLanguages", id="code"),
    "experimental_config_update_config": _experimental,
    "update_guardrails": _guardrails,
    "create_custom_guardrail": _custom_guardrail,
    "update_custom_guardrail": updates("guardrail", "guardrails", "customGuardrails"),
    "delete_custom_guardrail": deletes("guardrail", "guardrails", "customGuardrails"),
}  # fmt: skip
