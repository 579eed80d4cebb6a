"""Which files a folder may hold, and where each kind lives."""

from __future__ import annotations

import re

PROJECT = "project.yaml"
PERSONALITY = "agent_settings/personality.yaml"
ROLE = "agent_settings/role.yaml"
RULES = "agent_settings/rules.txt"
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
REAL_TIME = re.compile(r"real_time_configuration/(draft_and_sandbox|pre_release|live)/(schema|data)\.json")
SOURCE = re.compile(r"sources/.+\.(?i:md|markdown|txt|html?|csv|pdf)")

_ANYWHERE = re.compile(
    r"project\.yaml"
    r"|(agent_settings|config|voice|chat|speech_recognition)/.*\.(ya?ml|json|txt)"
    r"|topics/[^/]+\.ya?ml|test_suite/[^/]+\.ya?ml"
    r"|functions/.+\.py|flows/.+\.(ya?ml|py)"
    r"|real_time_configuration/.+\.json"
    r"|context/.+\.(?i:md)"
    r"|sources/.+\.(?i:md|markdown|txt|html?|csv|pdf)"
)

MAX_FILE_BYTES = 4 << 20
MAX_SOURCE_BYTES = 32 << 20
MAX_TREE_BYTES = 64 << 20


def belongs(path: str) -> bool:
    """True for a relative path (with forward slashes) that is part of the format."""
    parts = path.split("/")
    if any(part.startswith(".") or part == "__pycache__" for part in parts):
        return False
    return _ANYWHERE.fullmatch(path) is not None


def module_name(path: str) -> str:
    return path.removesuffix(".py").replace("/", ".")
