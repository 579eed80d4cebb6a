"""The agent: everything a folder says, parsed and typed. Text keeps its references; they are resolved when it is rendered."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from msgspec import Struct

from vivavoce.domain.entity import Entity
from vivavoce.domain.flow import Dtmf, Flow

FunctionKind: TypeAlias = Literal["global", "flow", "step", "start", "end"]
ParameterType: TypeAlias = Literal["string", "integer", "number", "boolean"]


class Identity(Struct, frozen=True, kw_only=True):
    agent_id: str
    account_id: str
    region: str = ""
    name: str = ""


class Persona(Struct, frozen=True, kw_only=True):
    adjectives: tuple[str, ...] = ()
    custom: str = ""
    role: str = ""
    additional_info: str = ""
    text: str = ""  # written out, in place of all the others


class Greeting(Struct, frozen=True, kw_only=True):
    text: str = ""
    language: str = ""


class Fillers(Struct, frozen=True, kw_only=True):
    """Words that cover a wait; seconds. `texts` by language, "" for any."""

    texts: dict[str, tuple[str, ...]] = {}
    first_after: float = 3.0
    interval: float = 3.0
    is_random: bool = False


class ChannelSettings(Struct, frozen=True, kw_only=True):
    greeting: Greeting = Greeting()
    style: str = ""
    disclaimer: Greeting | None = None  # None when it is off
    fillers: Fillers | None = None


class Languages(Struct, frozen=True, kw_only=True):
    default: str = "en-GB"
    additional: tuple[str, ...] = ()

    @property
    def all(self) -> tuple[str, ...]:
        return (self.default, *self.additional)


class Topic(Struct, frozen=True, kw_only=True):
    name: str
    content: str = ""
    actions: str = ""
    example_queries: tuple[str, ...] = ()
    enabled: bool = True
    path: str = ""


class Passage(Struct, frozen=True, kw_only=True):
    """A piece of a connected source; `start` and `end` are offsets into the document's text."""

    source: str  # the document's path below sources/
    start: int
    end: int
    text: str
    heading: str = ""


class Parameter(Struct, frozen=True, kw_only=True):
    name: str
    type: ParameterType = "string"
    description: str = ""


class DelayControl(Struct, frozen=True, kw_only=True):
    """What the caller hears while a function takes its time; all durations in seconds."""

    start_after: float = 0
    silence_between: float = 0
    messages: tuple[tuple[str, float], ...] = ()


class Function(Struct, frozen=True, kw_only=True):
    """An author function: where it lives, and the face it shows to the model."""

    name: str
    kind: FunctionKind
    module: str  # dotted, as the worker imports it: functions.x, flows.f.functions.x, flows.f.function_steps.x
    flow: str | None = None  # display name of its flow
    description: str = ""
    parameters: tuple[Parameter, ...] = ()
    delay: DelayControl | None = None
    path: str = ""
    line: int = 1


class Variants(Struct, frozen=True, kw_only=True):
    names: tuple[str, ...] = ()
    default: str | None = None
    attributes: dict[str, dict[str, str]] = {}  # variant -> attribute -> value


class Handoff(Struct, frozen=True, kw_only=True):
    name: str
    description: str = ""
    is_default: bool = False
    method: Literal["invite", "refer", "bye"] = "bye"
    phone_number: str = ""
    outbound_endpoint: str = ""
    outbound_encryption: str = ""
    sip_headers: dict[str, str] = {}


class SmsTemplate(Struct, frozen=True, kw_only=True):
    name: str
    text: str
    senders: dict[str, str] = {}  # environment -> number or messaging service


class StopKeyword(Struct, frozen=True, kw_only=True):
    name: str
    patterns: tuple[str, ...]
    say_phrase: bool = False
    language: str = ""
    function: str | None = None
    description: str = ""


class SafetyCategory(Struct, frozen=True, kw_only=True):
    enabled: bool
    level: Literal["lenient", "medium", "strict"]


class SafetyFilters(Struct, frozen=True, kw_only=True):
    enabled: bool = False
    categories: dict[str, SafetyCategory] = {}


class TranscriptCorrection(Struct, frozen=True, kw_only=True):
    name: str
    pattern: str
    replacement: str
    whole: bool


class Pronunciation(Struct, frozen=True, kw_only=True):
    pattern: str
    replacement: str
    case_sensitive: bool = False
    language: str = ""


class Keyphrase(Struct, frozen=True, kw_only=True):
    phrase: str
    level: Literal["default", "boosted", "maximum"] = "default"


class Speech(Struct, frozen=True, kw_only=True):
    """What the folder says about hearing and speaking; used by voice calls."""

    barge_in: bool = False
    may_interrupt_greeting: bool = True
    most_interruptions: int | None = None  # of a call
    ends_after: float | None = None  # seconds of silence that end an utterance; None: as the style has it
    interaction_style: str = "balanced"
    keyphrases: tuple[Keyphrase, ...] = ()
    corrections: tuple[TranscriptCorrection, ...] = ()
    pronunciations: tuple[Pronunciation, ...] = ()


class ApiOperation(Struct, frozen=True, kw_only=True):
    name: str
    method: str
    resource: str


class ApiIntegration(Struct, frozen=True, kw_only=True):
    name: str
    description: str = ""
    environments: dict[str, dict[str, str]] = {}
    operations: tuple[ApiOperation, ...] = ()


class RetrievalSettings(Struct, frozen=True, kw_only=True):
    """Thresholds are distances: lower is stricter."""

    threshold: float = 0.4
    in_flow_threshold: float = 0.35
    citation_threshold: float = 0.33
    top_k: int = 5
    history_length: int = 7  # earlier retrieval results kept in the prompt
    previous_inputs: int = 2  # earlier user inputs that join the query
    channel_exclusions: dict[str, tuple[str, ...]] = {}
    citation_exclusions: tuple[str, ...] = ()


class InferenceOverride(Struct, frozen=True, kw_only=True):
    """A model and its inference parameters, any of which may be left to the level above."""

    model: str | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    verbosity: str | None = None
    reasoning_effort: str | None = None
    topic_functions_in_flows: bool | None = None


class ModelSettings(Struct, frozen=True, kw_only=True):
    base: InferenceOverride = InferenceOverride()
    by_flow: dict[str, InferenceOverride] = {}
    by_step: dict[str, dict[str, InferenceOverride]] = {}
    by_channel: dict[str, InferenceOverride] = {}
    by_variant: dict[str, InferenceOverride] = {}


class MemorySettings(Struct, frozen=True, kw_only=True):
    """Repeat callers: by what they are known, and which values of conv.state are kept for their next conversation."""

    identifier_source: str = ""  # sip_headers:KEY, integration_attributes:KEY or state:KEY; "" is the caller's number
    state_keys: tuple[str, ...] = ()
    identifier_blacklist: tuple[str, ...] = ()
    has_analytics: bool = False


class HandoffApi(Struct, frozen=True, kw_only=True):
    """What of conv.state is told to whoever takes a conversation over."""

    state_keys: tuple[str, ...] = ()
    aliases: dict[str, str] = {}  # state key -> public name
    shared_id_key: str = "shared_id"


class CallSettings(Struct, frozen=True, kw_only=True):
    """How calls listen where no step says otherwise; None is the agent's or the server's own."""

    silence_seconds: float | None = None
    barge_in: bool | None = None
    keys: Dtmf | None = None
    has_no_keys: bool = False
    without_speech: dict[str, tuple[str, ...]] = {}  # flow -> its steps in which only keys are taken; "" is every step
    first_key_seconds: dict[str, dict[str, float]] = {}  # flow -> step -> wait for the first key


class Experimental(Struct, frozen=True, kw_only=True):
    """The parts of experimental_config.json that change what the engine does."""

    retrieval: RetrievalSettings = RetrievalSettings()
    prompts: dict[str, str] = {}
    model: ModelSettings = ModelSettings()
    max_silence_count: int = 3
    hangup_utterance: dict[str, str] = {}  # language ("" for any) -> text
    fillers: Fillers | None = None  # None when they are off
    switches_on_request_only: bool = False  # language: not by detection
    filters_input: bool = True
    wraps_utterances: bool = False  # web chat: function utterances are put into the model's own words
    handoff_api: HandoffApi = HandoffApi()
    memory: MemorySettings | None = None
    disclaimers: dict[str, str | None] = {}  # channel -> its own disclaimer; None switches it off
    calls: CallSettings = CallSettings()


class TestGroup(Struct, frozen=True, kw_only=True):
    """A share of the conversations that runs with another experimental configuration."""

    name: str
    percent: float
    experimental: Experimental


class RealTimeConfig(Struct, frozen=True, kw_only=True):
    schema: dict[str, Any] = {}
    data: dict[str, Any] = {}


class CallAssertion(Struct, frozen=True, kw_only=True):
    """A function that must have been called at least once with these arguments: name -> (text, type); or never."""

    name: str
    arguments: dict[str, tuple[str, ParameterType]] = {}
    is_asserted: bool = True


class TestCase(Struct, frozen=True, kw_only=True):
    """A simulated conversation and what must hold of it."""

    name: str
    scenario: str
    channel: str = "voice"
    language: str = ""
    variant: str = ""
    tags: tuple[str, ...] = ()
    simulated_at: str = ""
    caller_number: str = ""
    sip_headers: dict[str, str] = {}
    integration_attributes: dict[str, Any] = {}
    prompt_assertions: tuple[str, ...] = ()
    call_assertions: tuple[CallAssertion, ...] = ()
    path: str = ""


class Agent(Struct, frozen=True, kw_only=True):
    identity: Identity
    persona: Persona = Persona()
    rules: str = ""
    languages: Languages = Languages()
    voice: ChannelSettings = ChannelSettings()
    chat: ChannelSettings | None = None
    safety: dict[str, SafetyFilters] = {}  # "" for the whole agent, "voice", "chat"
    topics: dict[str, Topic] = {}
    passages: tuple[Passage, ...] = ()
    flows: dict[str, Flow] = {}
    functions: dict[str, Function] = {}  # global, by name; start_function and end_function among them
    flow_functions: dict[str, dict[str, Function]] = {}  # flow -> name -> function
    step_functions: dict[str, dict[str, Function]] = {}  # flow -> function step -> function
    variants: Variants = Variants()
    handoffs: dict[str, Handoff] = {}
    sms_templates: dict[str, SmsTemplate] = {}
    entities: dict[str, Entity] = {}
    stop_keywords: tuple[StopKeyword, ...] = ()
    translations: dict[str, dict[str, str]] = {}
    speech: Speech = Speech()
    api_integrations: dict[str, ApiIntegration] = {}
    experimental: Experimental = Experimental()
    test_groups: tuple[TestGroup, ...] = ()
    real_time_config: dict[str, RealTimeConfig] = {}  # by folder
    test_cases: tuple[TestCase, ...] = ()
    variables: frozenset[str] = frozenset()  # names that author code sets on conv.state

    def function(self, name: str, *, flow: str | None = None) -> Function | None:
        """The function of that name that is in scope: the flow's own before the global one."""
        if flow is not None:
            found = self.flow_functions.get(flow, {}).get(name)
            if found is not None:
                return found
        return self.functions.get(name)
