"""`conv` and `flow`: what an author function is handed. Effects are queued here and applied by the engine after it returns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NoReturn

from vivavoce.functions.runtime import clock, values
from vivavoce.functions.runtime.apis import ApiExecutor
from vivavoce.functions.runtime.executors import FlowFunctionExecutor, FunctionExecutor
from vivavoce.functions.runtime.session import Running, clean_text, sendable
from vivavoce.functions.runtime.state import State
from vivavoce.functions.runtime.utils import Utils

BUILT_IN_STATE = (
    "from_", "to", "call_sid", "asr_lang_code", "tts_lang_code", "shared_id", "handoff", "disable_recordings",
    "stop_recording", "use_tts_for_responses", "asr_provider", "asr_config",
)  # fmt: skip


def not_yet(what: str) -> NoReturn:
    raise NotImplementedError(f"{what} is not implemented in this version of vivavoce")


class Variant(dict[str, Any]):
    """Attributes of the active variant: text, or None when the variant does not have it."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self.get(name)

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value


class Entities(dict[str, Any]):
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self.get(name)


class ReadOnlyDict(dict[str, Any]):
    """A dict that its author may look at, not write."""

    def _refuse(self, *args: object, **kwargs: object) -> NoReturn:
        raise TypeError("this mapping is read-only")

    __setitem__ = __delitem__ = update = pop = popitem = clear = setdefault = _refuse

    def __reduce__(self) -> Any:
        return (dict, (dict(self),))


class Memory(Mapping[str, Any]):
    """What is remembered of this caller; empty unless memory is configured."""

    def __init__(self, remembered: dict[str, Any]) -> None:
        self._remembered = remembered

    def __getitem__(self, name: str) -> Any:
        return self._remembered[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._remembered)

    def __len__(self) -> int:
        return len(self._remembered)

    def fields(self) -> list[str]:
        return list(self._remembered)


class _Said:
    role = ""
    kind = ""

    def __init__(self, text: str = "") -> None:
        self.text = text

    def to_dict(self) -> dict[str, str]:
        return {"type": self.kind, "text": self.text}

    def to_string(self) -> str:
        return f"{'User' if self.role == 'user' else 'Agent'}: {self.text}"

    __str__ = to_string

    def __repr__(self) -> str:
        return f"{type(self).__name__}(text={self.text!r})"


class UserInput(_Said):
    role, kind = "user", "user_input"


class AgentResponse(_Said):
    role, kind = "agent", "agent_response"


class ConversationLogger:
    def info(self, content: object = "", *args: object, is_pii: bool = False, **fields: Any) -> None:
        Running.effects.log("conversation_logger", "info", content, is_pii=is_pii, **fields)

    def warning(self, content: object = "", *args: object, is_pii: bool = False, **fields: Any) -> None:
        Running.effects.log("conversation_logger", "warning", content, is_pii=is_pii, **fields)

    def error(self, content: object = "", *args: object, is_pii: bool = False, **fields: Any) -> None:
        Running.effects.log("conversation_logger", "error", content, is_pii=is_pii, **fields)

    debug, warn, exception, critical = info, warning, error, error


class TranslationReplacementProxy:
    def __init__(self, translations: dict[str, dict[str, str]], conv: Conversation, default: str) -> None:
        self._translations, self._conv, self._default = translations, conv, default

    def __getattr__(self, name: str) -> str:
        if name.startswith("_") or name not in self._translations:
            raise AttributeError(f"there is no translation named {name!r}")
        texts = self._translations[name]
        return texts.get(self._conv.language or "") or texts.get(self._default) or name

    __getitem__ = __getattr__


class Integrations:
    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        not_yet(f"conv.integrations.{name}")


class ExternalEvents:
    """Text messages that come in during a call: this version has no way for one to arrive."""

    def listen_for_sms_next_turn(self, timeout: float = 0) -> None:
        Running.effects.log("conversation_logger", "warning", "no text message can come in during a conversation yet")

    def get_sms_received_history(self) -> list[Any]:
        return []


class AgenticDial:
    """Inert: nothing is dialled."""

    active_destinations: tuple[Any, ...] = ()

    def send_to_parent(self, *args: Any, **kwargs: Any) -> None:
        Running.effects.log("conversation_logger", "warning", "agentic dial is not available; nothing was sent")

    send_to_child = send_to_parent


class WebchatInterface:
    def __init__(self) -> None:
        self.chat_call_actions: list[Any] = []

    def set_chat_call_actions(self, actions: list[Any]) -> None:
        self.chat_call_actions = list(actions)
        for action in actions:
            _queue_thing("call_action", action)


def _queue_thing(kind: str, thing: object) -> None:
    """An attachment, a suggestion or an action: a value of ours, a dict, or just its text."""
    fields = thing.to_dict() if isinstance(thing, values.Value) else thing
    if not isinstance(fields, dict):
        fields = {"message_text" if kind == "response_suggestion" else "content_url": fields}
    _queue_message(kind, fields={str(k): v for k, v in fields.items()})


def _queue_message(
    kind: str,
    *,
    to: object = "",
    sender: object = "",
    content: object = "",
    template: str = "",
    retries: int | None = None,
    fields: dict[str, Any] | None = None,
    **more: Any,
) -> None:
    Running.effects.messages.append(
        {
            "kind": kind,
            "to": clean_text(str(to or "")),
            "sender": clean_text(str(sender or "")),
            "content": clean_text(str(content or "")),
            "template": template,
            "retries": retries if isinstance(retries, int) and retries >= 0 else None,
            "fields": {k: sendable(v) for k, v in {**(fields or {}), **more}.items()},
        }
    )


class Conversation:
    """The live conversation as author code sees it."""

    def __init__(self, opened: dict[str, Any], project: dict[str, Any]) -> None:
        self._project = project
        self.id: str = opened["id"]
        self.account_id: str = opened["account_id"]
        self.project_id: str = opened["project_id"]
        self.env: str = opened["env"]
        self.channel_type: str = opened["channel"]
        self.sip_headers: dict[str, str] = opened["sip_headers"]
        self.integration_attributes: dict[str, Any] = opened["integration_attributes"]
        self.caller_number: str | None = opened["caller"]
        self.callee_number: str | None = opened["callee"]
        self.state = State()
        self.entities = Entities()
        self.history: list[_Said] = []
        self.transcript_alternatives: list[str] = []
        self.current_flow: str | None = None
        self.current_step: str | None = None
        self.language: str | None = None
        self.metric_events: list[values.MetricEvent] = []
        self.real_time_config = ReadOnlyDict()
        self.memory = Memory({})
        self.functions = FunctionExecutor(self, project["functions"])
        self.api = ApiExecutor(project["apis"])
        self.integrations = Integrations()
        self.webchat = WebchatInterface()
        self.utils = Utils(self)
        self.log = ConversationLogger()
        self.agentic_dial = AgenticDial()
        self.external_events = ExternalEvents()
        self.generic_external_events: list[Any] = []
        self.translations = TranslationReplacementProxy(project["translations"], self, project["default_language"])
        self.attachments: list[Any] = []
        self.response_suggestions: list[Any] = []
        self.voice_change: Any = None
        self.provider_voice_id = ""
        self._analytics_events: list[Any] = []
        self._variant_name: str | None = None
        self._key = ""
        self._variant_changes: dict[str, dict[str, Any]] = {}
        self._written_once: set[str] = set()
        self.sms_templates = {
            name: values.SMSTemplate(
                name=name,
                content=t["text"],
                phone_number=t["senders"].get(_sender_environment(self.env)) or t["senders"].get("live", ""),
            )
            for name, t in project["sms_templates"].items()
        }
        self.handoffs = {
            name: values.HandoffConfig(sip_type=h["method"], sip_config=h["sip_config"], sip_headers=h["sip_headers"])
            for name, h in project["handoffs"].items()
        }

    # What the worker keeps current between calls.

    def refresh(self, patch: dict[str, Any]) -> None:
        self.current_flow, self.current_step = patch["flow"], patch["step"]
        self.language = patch["language"]
        self._variant_name = patch["variant"]
        self.transcript_alternatives = list(patch["alternatives"])
        Running.zone = patch["zone"]
        self._key = patch["key"]
        if "configuration" in patch:
            self.real_time_config = ReadOnlyDict(patch["configuration"])
        if "memory" in patch:
            self.memory = Memory(patch["memory"])
        if "events" in patch:
            self.generic_external_events = [values.GenericExternalEvent(*event) for event in patch["events"]]
        self.attachments, self.response_suggestions = [], []
        self.entities = Entities(
            {
                name: values.EntityValidationResult(id=name, name=name, valid=True, value=value, type=type_)
                for name, (type_, value, _) in patch["entities"].items()
            }
        )
        self.state.update(patch["unsynced"])
        for role, text in patch["history"]:
            self.history.append((UserInput if role == "user" else AgentResponse)(text))
        for name, value in patch["metrics"]:
            self.metric_events.append(values.MetricEvent(name, value))
            self._written_once.add(name)

    def saved(self) -> dict[str, Any]:
        """What besides conv.state must be there again after this worker is gone."""
        return {"variants": self._variant_changes} if self._variant_changes else {}

    def restore(self, saved: dict[str, Any]) -> None:
        self._variant_changes = saved.get("variants", {})

    def settle(self) -> None:
        """Takes in what the author wrote into plain attributes: for the next message, and into conv.variant."""
        for kind, things in (("attachment", self.attachments), ("response_suggestion", self.response_suggestions)):
            for thing in things if isinstance(things, (list, tuple)) else ():
                _queue_thing(kind, thing)
        self._note_variant()

    def _note_variant(self) -> None:
        """conv.variant is not conv.state but must last as long."""
        variant = self.__dict__.get("_variant")
        if variant is not None and self._variant_name is not None:
            declared = self._project["variants"].get(variant.name_of_variant, {})
            changed = {k: v for k, v in variant.items() if declared.get(k) != v}
            if changed:
                self._variant_changes[variant.name_of_variant] = changed

    # Variants.

    @property
    def variant_name(self) -> str | None:
        return self._variant_name

    @property
    def variant(self) -> Any:
        if self._variant_name is None:
            return None
        current = self.__dict__.get("_variant")
        if current is None or current.name_of_variant != self._variant_name:
            self._note_variant()
            current = _NamedVariant(self._variant_name, self._project["variants"].get(self._variant_name, {}))
            current.update(self._variant_changes.get(self._variant_name, {}))
            self.__dict__["_variant"] = current
        return current

    @property
    def variants(self) -> dict[str, Variant]:
        return {name: Variant(attributes) for name, attributes in self._project["variants"].items()}

    def set_variant(self, name: str) -> None:
        if name not in self._project["variants"]:
            self.log.error(f"set_variant: there is no variant {name!r}; the variant stays {self._variant_name!r}")
            return
        self._note_variant()
        self._variant_name = name
        Running.effects.queued["variant"] = name

    # What is said, and where the conversation goes.

    def say(self, utterance: str) -> None:
        Running.effects.queued["utterance"] = str(utterance)

    def goto_flow(self, name: str) -> None:
        Running.effects.goto_flow(name)

    def exit_flow(self) -> None:
        if self.current_flow is None and "goto_flow" not in Running.effects.queued:
            self.log.warning("exit_flow was called outside of a flow; nothing happens")
            return
        Running.effects.exit_flow()

    def goto_csat_flow(self) -> None:
        """Enters the agent's flow called CSAT, after the words in conv.state.csat_output_args."""
        flow = self._project["csat_flow"]
        if flow is None:
            self.log.warning("goto_csat_flow: the agent has no flow called CSAT; nothing happens")
            return
        lead_in = self.state.csat_output_args
        if isinstance(lead_in, dict) and lead_in.get("utterance"):
            self.say(lead_in["utterance"])
        self.goto_flow(flow)

    def call_handoff(
        self,
        destination: str,
        reason: str | None = None,
        utterance: str | None = None,
        sip_headers: dict[str, str] | None = None,
        route: str | None = None,
    ) -> dict[str, Any]:
        configured = _find_handoff(self._project["handoffs"], destination)
        if configured is None:
            self.log.warning(f"call_handoff: no handoff is named {destination!r}; it is passed on as it is")
        handoff: dict[str, Any] = {
            "type": configured or str(destination),
            "reason": str(destination if reason is None else reason),
        }
        known = self._project["handoffs"].get(configured or "", {})
        blocks = dict(known.get("sip_config", {}))
        if route is not None:
            blocks["phone_number"] = route
        blocks["sip_headers"] = {**known.get("sip_headers", {}), **(sip_headers or {})}
        handoff[known.get("method", "refer")] = blocks
        Running.effects.queued["handoff"] = handoff
        if utterance is not None:
            Running.effects.queued["utterance"] = utterance
        return {"handoff": handoff} if utterance is None else {"handoff": handoff, "utterance": utterance}

    # Language and voice.

    def set_language(self, code: str) -> None:
        configured = self._project["languages"]
        self.language = code if code in configured else self._project["default_language"]
        Running.effects.queued["language"] = self.language

    def set_voice(self, voice: Any) -> None:
        self.voice_change = voice
        Running.effects.queued["voice"] = sendable(voice.to_dict() if isinstance(voice, values.Value) else voice)

    def randomize_voice(self, voices: list[Any]) -> None:
        if voices:
            self.voice_change = voices[0].voice
            Running.effects.queued["voice"] = {"weighted": [sendable(v.to_dict()) for v in voices]}

    def set_asr_biasing(self, keywords: list[str] | None = None, custom_biases: dict[str, float] | None = None) -> None:
        if keywords is not None and not (isinstance(keywords, list) and all(isinstance(k, str) for k in keywords)):
            raise ValueError("keywords must be a list of texts")
        if custom_biases is not None and not isinstance(custom_biases, dict):
            raise ValueError("custom_biases must be a dict of text to number")
        Running.effects.queued["asr_biasing"] = {
            "keywords": keywords or [],
            "custom_biases": sendable(custom_biases or {}),
        }

    def clear_asr_biasing(self) -> None:
        Running.effects.queued["asr_biasing"] = {}

    # Knowledge.

    def disable_kb_topics(self, names: list[str]) -> None:
        Running.effects.queued["disabled_topics"] = [str(name) for name in names]

    def clear_disabled_kb_topics(self) -> None:
        Running.effects.queued["disabled_topics"] = []

    # Messages out.

    @property
    def sms_queue(self) -> list[dict[str, Any]]:
        return [m for m in Running.effects.messages if m["kind"] == "sms"]

    def send_sms(self, to_number: str, from_number: str, content: str, retry_count: int | None = None) -> None:
        _queue_message("sms", to=to_number, sender=from_number, content=content, retries=retry_count)

    def send_sms_template(self, to_number: str, template: str, retry_count: int | None = None) -> None:
        if template not in self.sms_templates:
            raise values.MissingTemplate(f"there is no SMS template named {template!r}")
        found: Any = self.sms_templates[template]
        _queue_message(
            "sms",
            to=to_number,
            sender=found.phone_number,
            content=found.content,
            template=template,
            retries=retry_count,
        )

    def send_whatsapp(self, to_number: str = "", content: str = "", from_number: str = "", **fields: Any) -> None:
        _queue_message("whatsapp", to=to_number, sender=from_number or self.callee_number, content=content, **fields)

    def send_content_template(
        self, to_number: str = "", template: str = "", from_number: str = "", **fields: Any
    ) -> None:
        sender = from_number or self.callee_number
        _queue_message("content_template", to=to_number, sender=sender, template=template, **fields)

    def send_email(self, to: str, body: str, subject: str = "") -> None:
        _queue_message("email", to=to, content=body, subject=subject)

    # The record.

    @property
    def metrics_queue(self) -> list[dict[str, Any]]:
        return Running.effects.metrics

    def write_metric(self, name: str, value: Any = None, *, write_once: bool = False) -> None:
        if write_once and name in self._written_once:
            return
        self._written_once.add(name)
        shown = True if value is None else value
        if isinstance(shown, int) and not -(2**63) <= shown < 2**63:
            shown = "a number beyond 64 bits"
        elif not isinstance(shown, (str, int, float, bool)):
            shown = str(shown)
        Running.effects.metrics.append(
            {"name": clean_text(str(name)), "value": sendable(shown), "at": clock.aware_now(), "write_once": write_once}
        )
        self.metric_events.append(values.MetricEvent(str(name), shown))

    def log_api_response(self, response: Any, override_url: str | None = None) -> None:
        request = getattr(response, "request", None)
        status = getattr(response, "status_code", None)
        elapsed = getattr(response, "elapsed", None)
        failed = isinstance(status, int) and status >= 400
        Running.effects.log(
            "api",
            "error" if failed else "info",
            f"{getattr(request, 'method', '')} {override_url or getattr(response, 'url', '')} -> {status}".strip(),
            url=override_url or getattr(response, "url", None),
            method=getattr(request, "method", None),
            status=status,
            latency_ms=round(elapsed.total_seconds() * 1000, 1) if elapsed is not None else None,
            error=str(getattr(response, "text", ""))[:2000] if failed else None,
        )

    @property
    def idempotency_key(self) -> str:
        """The same text for the same call of the same turn, should the turn have to be taken again for the same message."""
        return self._key

    def once(self, name: str, effect: Callable[[], Any], *, again: bool = False) -> Any:
        """Runs `effect` and keeps its result: when this call has to be made again, the result is given and nothing is run.

        `name` tells several of one call apart. One that was begun, and of which nobody knows how it went, raises
        EffectUnsettled; with `again` it is run again, for when the other side knows `conv.idempotency_key`.
        """
        assert Running.channel is not None
        about = {"name": str(name), "key": f"{self._key}:{name}"}
        known = Running.channel.ask("once", {"step": "begin", **about})
        if known.get("is_done"):
            return known["result"]
        if known and not again:
            raise values.EffectUnsettled(
                f"{name} was begun before and did not come to its end; find out how it went by conv.idempotency_key"
            )
        try:
            result = sendable(effect())
        except BaseException:
            Running.channel.ask("once", {"step": "forget", **about})
            raise
        Running.channel.ask("once", {"step": "settle", **about, "result": result})
        return result

    def generate_external_event(self, *, send_to_llm: bool = False) -> str:
        """An id under which data may be posted for this conversation, for an hour; read it as generic_external_events."""
        assert Running.channel is not None
        return str(Running.channel.ask("external_event", {"send_to_llm": bool(send_to_llm)}))

    def discard_recording(self) -> None:
        Running.effects.queued["discard_recording"] = True

    def set_csat_eligibility(self, eligible: bool = True) -> None:
        self.write_metric("CSAT_ELIGIBILITY", bool(eligible))

    def set_csat_phone_number(self, phone_number: str) -> None:
        self.log.info(f"CSAT phone number: {phone_number}", is_pii=True)

    def set_csat_score(self, score: Any) -> None:
        self.write_metric("CSAT_SCORE", score)

    def set_csat_survey_entered(self, entered: bool = True) -> None:
        self.write_metric("CSAT_SURVEY_ENTERED", bool(entered))

    def __repr__(self) -> str:
        return f"<Conversation {self.id}>"


class _NamedVariant(Variant):
    def __init__(self, name: str, attributes: dict[str, str]) -> None:
        super().__init__(attributes)
        object.__setattr__(self, "name_of_variant", name)


class Flow:
    """The flow that the running function belongs to."""

    def __init__(self, conv: Conversation, modules: dict[str, str]) -> None:
        self._conv = conv
        self.functions = FlowFunctionExecutor(self, modules)

    @property
    def current_step(self) -> str | None:
        return self._conv.current_step

    def goto_step(self, step_name: str, label: str | None = None) -> None:
        Running.effects.goto_step(step_name)


def _find_handoff(handoffs: dict[str, dict[str, Any]], destination: str) -> str | None:
    """Exact, then case-insensitive, then `default` for whichever is the default."""
    if destination in handoffs:
        return destination
    wanted = str(destination).lower()
    for name in handoffs:
        if name.lower() == wanted:
            return name
    if wanted in ("default", ""):
        return next((name for name, h in handoffs.items() if h["is_default"]), None)
    return None


def _sender_environment(env: str) -> str:
    return "sandbox" if env == "draft" else env


def initial_state(opened: dict[str, Any]) -> dict[str, Any]:
    """The keys that a new conversation's state begins with."""
    filled: dict[str, Any] = dict.fromkeys(BUILT_IN_STATE)
    filled.update(
        from_=opened["caller"],
        to=opened["callee"],
        call_sid=opened["id"],
        asr_lang_code=opened["language"],
        tts_lang_code=opened["language"],
        listen_for_sms=False,
    )
    return filled
