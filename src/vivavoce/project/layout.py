"""Which files a folder may hold, and where each kind lives."""

from __future__ import annotations

import difflib
import re

PROJECT = "project.yaml"
PERSONALITY = "agent_settings/personality.yaml"
ROLE = "agent_settings/role.yaml"
RULES = "agent_settings/rules.txt"
PERSONA = "agent_settings/persona.txt"
GUARDRAILS = "agent_settings/guardrails.yaml"
LANGUAGES = "agent_settings/languages.yaml"
EXPERIMENTAL = "agent_settings/experimental_config.json"
SAFETY = {
    "": "agent_settings/safety_filters.yaml",
    "voice": "voice/safety_filters.yaml",
    "chat": "chat/safety_filters.yaml",
}
VOICE = "voice/configuration.yaml"
CHAT = "chat/configuration.yaml"
ENTITIES = "config/entities.yaml"
VARIANTS = "config/variant_attributes.yaml"
HANDOFFS = "config/handoffs.yaml"
SMS = "config/sms_templates.yaml"
TRANSLATIONS = "config/translations.yaml"
API_INTEGRATIONS = "config/api_integrations.yaml"
MCP = "config/mcp.yaml"
ASR = "voice/speech_recognition/asr_settings.yaml"
KEYPHRASES = ("voice/speech_recognition/keyphrase_boosting.yaml", "speech_recognition/keyphrase_boosting.yaml")
CORRECTIONS = "voice/speech_recognition/transcript_corrections.yaml"
PRONUNCIATIONS = "voice/response_control/pronunciations.yaml"
STOP_KEYWORDS = "voice/response_control/phrase_filtering.yaml"

TOPIC = re.compile(r"topics/[^/]+\.ya?ml")
FLOW = re.compile(r"flows/([^/]+)/flow_config\.yaml")
STEP = re.compile(r"flows/([^/]+)/steps/[^/]+\.ya?ml")
FUNCTION_STEP = re.compile(r"flows/([^/]+)/function_steps/([^/]+)\.py")
FLOW_FUNCTION = re.compile(r"flows/([^/]+)/functions/([^/]+)\.py")
FUNCTION = re.compile(r"functions/([^/]+)\.py")
TEST_CASE = re.compile(r"test_suite/[^/]+\.ya?ml")
CHILD_TOPIC = re.compile(r"child_topics/([^/]+)/[^/]+\.ya?ml")
DOCUMENT = re.compile(r"context/([^/]+\.(?i:md))")
REAL_TIME = re.compile(r"real_time_configuration/(draft_and_sandbox|pre_release|live)/(schema|data)\.json")
SOURCE = re.compile(r"sources/.+\.(?i:md|markdown|txt|html?|csv|pdf)")

_FIXED = {
    *(
        PROJECT,
        PERSONALITY,
        ROLE,
        RULES,
        PERSONA,
        LANGUAGES,
        EXPERIMENTAL,
        VOICE,
        CHAT,
        ENTITIES,
        VARIANTS,
        HANDOFFS,
        SMS,
    ),
    *(TRANSLATIONS, API_INTEGRATIONS, ASR, CORRECTIONS, PRONUNCIATIONS, STOP_KEYWORDS, *SAFETY.values(), *KEYPHRASES),
}
_NAMED = (TOPIC, FLOW, STEP, TEST_CASE, REAL_TIME, SOURCE, re.compile(r"(functions|flows)/.+\.py"))
FOLDERS = (
    *("agent_settings", "config", "voice", "chat", "speech_recognition", "topics", "flows", "functions"),
    *("sources", "test_suite", "real_time_configuration"),
)
_CARRIED = {
    # kept and handed to the client as they are, and without effect
    GUARDRAILS: "guardrails are not implemented here",
    MCP: "MCP servers are not implemented here",
}
_FOR_AUTHORS = re.compile(r"context/.*|(.*/)?(README|LICENSE|CLAUDE|AGENTS|CHANGELOG)[^/]*")

_ANYWHERE = re.compile(
    r"project\.yaml"
    r"|(agent_settings|config|voice|chat|speech_recognition)/.*\.(ya?ml|json|txt)"
    rf"|{TOPIC.pattern}|{TEST_CASE.pattern}"
    r"|functions/.+\.py|flows/.+\.(ya?ml|py)"
    r"|real_time_configuration/.+\.json"
    r"|context/.+\.(?i:md)"
    rf"|{CHILD_TOPIC.pattern}"
    rf"|{SOURCE.pattern}"
)

_HOLDS = {
    "topics": "one .yaml file a topic, without folders",
    "test_suite": "one .yaml file a case, without folders",
    "functions": ".py files",
    "flows": "flow_config.yaml, steps/*.yaml, functions/*.py and function_steps/*.py in a folder for each flow",
    **{
        top: ", ".join(sorted(path.removeprefix(f"{top}/") for path in _FIXED if path.startswith(f"{top}/")))
        for top in ("agent_settings", "config", "voice", "chat", "speech_recognition")
    },
}

MAX_FILE_BYTES = 4 << 20
MAX_SOURCE_BYTES = 32 << 20
MAX_TREE_BYTES = 64 << 20


def most_bytes(path: str) -> int:
    return MAX_SOURCE_BYTES if SOURCE.fullmatch(path) else MAX_FILE_BYTES


PRUNED = {"_gen", "tests", "node_modules", "__pycache__", "venv"}  # folders that are not the agent's
MAX_NAME_BYTES = 240  # of a file or folder: a file that is written has a few more for a moment
_CONTROL = re.compile(r"[\0-\x1f\x7f]")


def belongs(path: str) -> bool:
    """True for a relative path (with forward slashes) that is part of the format, and that every file system takes."""
    *folders, name = path.split("/")
    for part in (*folders, name):
        if not part or part.startswith(".") or len(part.encode(errors="replace")) > MAX_NAME_BYTES:
            return False
    if PRUNED.intersection(folders) or _CONTROL.search(path):
        return False
    return _ANYWHERE.fullmatch(path) is not None


def unread(path: str) -> str | None:
    """Why a file that lies in one of the format's folders, or nearly in one, is read by nothing; None when it is read."""
    if path in _FIXED or any(pattern.fullmatch(path) for pattern in _NAMED) or _FOR_AUTHORS.fullmatch(path):
        return None
    top, *rest = path.split("/")
    if not rest:
        return None
    if path in _CARRIED:
        return f"It is kept, and has no effect: {_CARRIED[path]}."
    if CHILD_TOPIC.fullmatch(path):
        return "It is kept, and has no effect: topics of single variants are not implemented here."
    if top not in FOLDERS:
        near = difflib.get_close_matches(top, FOLDERS, n=1, cutoff=0.8)
        return f"{top}/ is read by nothing: is {near[0]}/ meant?" if near else None
    if top == "sources":
        return "It is not read: sources are .md, .markdown, .txt, .html, .htm, .csv and .pdf files."
    if top == "real_time_configuration":
        return "It is not read: the folders are draft_and_sandbox, pre_release and live, the files schema.json and data.json."
    known = sorted(fixed for fixed in _FIXED if fixed.startswith(f"{top}/"))
    near = difflib.get_close_matches(path, known, n=1, cutoff=0.8)
    if near:
        return f"It is not read: is {near[0]} meant?"
    return f"It is not read: {top}/ holds {_HOLDS[top]}."


def module_name(path: str) -> str:
    return path.removesuffix(".py").replace("/", ".")
