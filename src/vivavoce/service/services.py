"""The use cases together, as the doors are handed them."""

from __future__ import annotations

from msgspec import Struct

from vivavoce.service.admission import Admission, Rates
from vivavoce.service.agents import Agents
from vivavoce.service.audio_cache import AudioCache
from vivavoce.service.audit import Audit
from vivavoce.service.authoring import Authoring
from vivavoce.service.branches import Branches
from vivavoce.service.calls import Calls
from vivavoce.service.chats import Chats
from vivavoce.service.concurrency import Concurrency
from vivavoce.service.conversations import Conversations
from vivavoce.service.deployments import Deployments
from vivavoce.service.erasure import Erasure
from vivavoce.service.events import Events
from vivavoce.service.experiments import Experiments
from vivavoce.service.exports import Exports
from vivavoce.service.finders import Finders
from vivavoce.service.hand_redaction import HandRedaction
from vivavoce.service.handoffs import Handoffs
from vivavoce.service.keys import Keys
from vivavoce.service.knowledge import Knowledge
from vivavoce.service.memories import Memories
from vivavoce.service.operations import Operations
from vivavoce.service.outlines import Outlines
from vivavoce.service.projections import Projections
from vivavoce.service.real_time import RealTimeConfigs
from vivavoce.service.redaction_rules import RedactionRules
from vivavoce.service.sessions import Sessions
from vivavoce.service.statistics import Statistics
from vivavoce.service.test_runs import TestRuns
from vivavoce.service.turn_audio import TurnAudio
from vivavoce.service.versions import Versions
from vivavoce.service.views import SavedViews
from vivavoce.telemetry.interface import Telemetry


class Services(Struct, frozen=True, kw_only=True):
    chats: Chats
    conversations: Conversations
    concurrency: Concurrency
    deployments: Deployments
    keys: Keys
    real_time: RealTimeConfigs
    memories: Memories
    events: Events
    handoffs: Handoffs
    audit: Audit
    erasure: Erasure
    exports: Exports
    finders: Finders
    redaction_rules: RedactionRules
    calls: Calls
    audio_cache: AudioCache
    turn_audio: TurnAudio
    sessions: Sessions
    statistics: Statistics
    knowledge: Knowledge
    views: SavedViews
    versions: Versions
    branches: Branches
    authoring: Authoring
    projections: Projections
    experiments: Experiments
    test_runs: TestRuns
    agents: Agents
    hand_redaction: HandRedaction
    operations: Operations
    admission: Admission
    rates: Rates
    telemetry: Telemetry
    outlines: Outlines
