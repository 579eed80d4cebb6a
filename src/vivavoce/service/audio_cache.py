"""Speech that an agent says again and again, kept so that it is made once: listed, replaced by recordings of one's own, removed.

An utterance is kept when it is made for a second conversation within a day, and nothing in it is personal: an entry belongs
to the agent, and outlives every conversation.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from vivavoce.audio import pcm, wav
from vivavoce.domain.clock import Clock, Random
from vivavoce.domain.fact import Fact
from vivavoce.domain.principal import Principal
from vivavoce.errors import Invalid, NotFound, PayloadTooLarge, VivavoceError
from vivavoce.recordings.interface import Name, Recordings, RecordingsError
from vivavoce.service.access import require
from vivavoce.service.audit import Audit
from vivavoce.service.chats import Chats
from vivavoce.service.claims import Claims
from vivavoce.service.deployments import Deployments
from vivavoce.service.finders import Finders
from vivavoce.service.news import News
from vivavoce.service.redaction import customer_of, redactor
from vivavoce.speech.cached import CachedSynthesizer
from vivavoce.speech.interface import Sound, Synthesizer, Voice
from vivavoce.store.interface import Store
from vivavoce.voice.call import Engines

log = logging.getLogger(__name__)
FACT = "audio_cache"
MAX_BYTES = 6_000_000  # of one entry's file
MAX_SECONDS = MAX_BYTES / (pcm.RATE * pcm.SAMPLE_BYTES)
MAX_CHARACTERS = 5_000
MOST_ENTRIES = 2_000  # of one agent
MOST_MADE = 20_000  # utterances of all agents that are remembered as made once
MOST_SOUNDS = 200  # kept in memory
WRITE_HITS_AFTER = timedelta(minutes=1)
REPEATED_WITHIN = timedelta(hours=24)
KEEPING_SECONDS = 1.0  # that whoever asks what is kept waits for what is being kept
SORTS = ("hit_count", "cached_at", "duration", "transcript")


class CacheEntryNotFound(NotFound):
    code = "AUDIO_CACHE_ENTRY_NOT_FOUND"

    def __init__(self) -> None:
        super().__init__("The audio cache has no entry of that id.")


class Entry(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`imported`: its file came from outside. `regenerated`: it was made again with other words or another tuning."""

    id: str
    transcript: str
    language: str
    provider: str
    voice_id: str = ""
    parameters: dict[str, Any] = {}
    cached_at: datetime
    hits: int = 0
    samples: int
    is_regenerated: bool = False
    is_imported: bool = False
    filename: str | None = None

    @property
    def is_chosen(self) -> bool:
        """Somebody wants these words to sound like this."""
        return self.is_imported or self.is_regenerated

    @property
    def duration(self) -> float:
        return round(self.samples / pcm.RATE, 3)


_Agent = tuple[str, str]


class AudioCache:
    def __init__(
        self,
        store: Store,
        clock: Clock,
        random: Random,
        deployments: Deployments,
        chats: Chats,
        audit: Audit,
        finders: Finders,
        recordings: Recordings,
        engines: Callable[[], Awaitable[Engines]],
        claims: Claims,
        news: News,
    ) -> None:
        self._store = store
        self._clock = clock
        self._random = random
        self._deployments = deployments
        self._chats = chats
        self._audit = audit
        self._finders = finders
        self._recordings = recordings
        self._engines = engines
        self._entries: dict[_Agent, dict[str, Entry]] = {}  # name of the utterance -> entry; read once
        self._made: OrderedDict[str, tuple[str, datetime]] = OrderedDict()  # who made it first, and when
        self._sounds: OrderedDict[tuple[str, str], bytes] = OrderedDict()  # (agent, id) -> pcm
        self._written: dict[tuple[str, str, str], datetime] = {}  # when the hits of an entry were written last
        self._claims = claims
        self._news = news
        news.on("speech", self._forget)
        self._making: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._lock = asyncio.Lock()

    def over(self, synthesizer: Synthesizer, account_id: str, agent_id: str, conversation_id: str) -> Synthesizer:
        """The synthesizer of one conversation, with the agent's cache before it."""
        return CachedSynthesizer(synthesizer, _OfConversation(self, (account_id, agent_id), conversation_id))

    def _forget(self, agent: tuple[str, ...] | None) -> None:
        """Another process has kept or removed something; what was counted here since the last minute is lost with it."""
        for known in [known for known in self._entries if agent in (None, known)]:
            del self._entries[known]
        for place in [place for place in self._sounds if agent is None or place[0] == "\0".join(agent)]:
            del self._sounds[place]

    # Use.

    async def find(self, agent: _Agent, text: str, voice: Voice, engine: str) -> Sound | None:
        entry = (await self._known(agent)).get(_name(text, voice))
        if entry is None or not (entry.is_chosen or entry.provider == engine):
            return None
        try:
            sound = await self._sound(agent, entry)
        except RecordingsError as error:  # then it is made again
            log.warning("an entry of the audio cache cannot be read: %s", error.code)
            return None
        await self._hit(agent, entry.id)
        return Sound(sound, f"{entry.provider} (cached)")

    async def _hit(self, agent: _Agent, id: str) -> None:
        """Counted at once, written once a minute: a call does not wait for the disk to count."""
        known = await self._known(agent)
        name = next((name for name, entry in known.items() if entry.id == id), None)
        if name is None:  # removed meanwhile
            return
        known[name] = replace(known[name], hits=known[name].hits + 1)
        now = self._clock.now()
        if now - self._written.setdefault((*agent, id), now) > WRITE_HITS_AFTER:
            self._written[(*agent, id)] = now
            await self._write(agent, name)

    async def close(self) -> None:
        """Ends what is being kept, and writes what was counted since."""
        await asyncio.gather(*self._tasks)
        for account_id, agent_id, id_ in list(self._written):
            known = await self._known((account_id, agent_id))
            name = next((name for name, entry in known.items() if entry.id == id_), None)
            if name is not None:
                try:
                    await self._write((account_id, agent_id), name)
                except VivavoceError as error:
                    log.warning("the hits of the audio cache were not written: %s", error.code)

    async def _write(self, agent: _Agent, name: str, *, is_new: bool = False) -> None:
        """The entry as it is by then, unless it is gone, here or for all."""
        async with self._claims.hold(FACT, *agent):
            entry = (await self._known(agent)).get(name)
            if entry is not None:
                body = {"name": name, "entry": msgspec.to_builtins(entry)}
                now = self._clock.now()
                fact = Fact(account_id=agent[0], agent_id=agent[1], kind=FACT, key=entry.id, body=body, at=now)
                await (self._store.put_fact(fact) if is_new else self._store.replace_fact(fact))

    def made(self, agent: _Agent, conversation_id: str, text: str, voice: Voice, sound: Sound) -> None:
        """Keeps it, beside the call, when it was made before for another conversation; nobody else makes the same entry."""
        now = self._clock.now()
        name = _name(text, voice)
        place = hashlib.sha256("\0".join((*agent, name)).encode()).hexdigest()
        before = self._made.get(place)
        if before is None or now - before[1] > REPEATED_WITHIN:
            self._made[place] = (conversation_id, now)
            while len(self._made) > MOST_MADE:
                self._made.popitem(last=False)
            return
        is_worth = before[0] != conversation_id and len(sound.pcm) + wav.HEADER_BYTES <= MAX_BYTES
        if is_worth and len(text) <= MAX_CHARACTERS and place not in self._making:
            self._making.add(place)
            conversations = (before[0], conversation_id)
            task = asyncio.create_task(self._keep(agent, conversations, text, voice, sound))
            self._tasks.add(task)
            task.add_done_callback(lambda _: self._making.discard(place))
            task.add_done_callback(self._tasks.discard)

    async def _keep(self, agent: _Agent, conversations: tuple[str, str], text: str, voice: Voice, sound: Sound) -> None:
        try:
            for id_ in conversations:  # what their callers say is known when their turns are done
                await self._chats.settled(*agent, id_)
            await self._keep_new(agent, conversations, text, voice, sound)
        except VivavoceError as error:
            log.warning("an utterance could not be kept in the audio cache: %s", error.code)

    async def _keep_new(
        self, agent: _Agent, conversations: Sequence[str], text: str, voice: Voice, sound: Sound
    ) -> None:
        known, name = await self._known(agent), _name(text, voice)
        old = known.get(name)  # spoken by an engine that is no longer the one
        if len(known) >= MOST_ENTRIES if old is None else old.is_chosen or old.provider == sound.engine:
            return
        for id_ in conversations:
            if await self._is_personal(agent, id_, text):
                return
        entry = Entry(
            id=old.id if old is not None else str(self._random.seed() % 10**15),
            transcript=text,
            language=voice.language,
            provider=sound.engine,
            voice_id=voice.id,
            parameters=voice.parameters,
            cached_at=self._clock.now(),
            samples=len(sound.pcm) // 2,
        )
        if old is not None:
            await self._replace(agent, old, sound.pcm, entry)
            return
        await self._recordings.put(_file(agent, entry.id), wav.of(sound.pcm))
        known[name] = entry
        await self._write(agent, name, is_new=True)
        await self._news.tell("speech", *agent)

    async def _is_personal(self, agent: _Agent, conversation_id: str, text: str) -> bool:
        """By the rules that hold for an agent's words, and by all that the conversation knows; so taken when it is gone."""
        finder = await self._finders(*agent)
        conversation = await self._store.get(*agent, conversation_id)
        if conversation is None:
            return True
        said = await self._store.transcripts([conversation])
        turns = [turn for transcript in said for turn in transcript.turns]
        known = redactor(turns, [customer_of(conversation)], finder)
        return bool(await asyncio.to_thread(partial(known.spans, text, is_thorough=False)))

    # The seven operations.

    async def entries(
        self, principal: Principal, agent_id: str, *, limit: int, offset: int, sort: str
    ) -> tuple[list[Entry], int]:
        """A page of them, and how many there are. `sort` is a field, with `:asc` or `:desc`."""
        agent = await self._agent(principal, "read", agent_id)
        field, _, direction = (sort or "cached_at:desc").partition(":")
        if field not in SORTS or direction not in ("", "asc", "desc"):
            raise Invalid(f"sort is {sort[:40]!r}; it should be one of {', '.join(SORTS)}, with :asc or :desc.")
        key = {"hit_count": "hits"}.get(field, field)
        found = sorted(
            (await self._known(agent)).values(),
            key=lambda entry: (getattr(entry, key), entry.id),
            reverse=direction == "desc",
        )
        return found[offset : offset + limit], len(found)

    async def file(self, principal: Principal, agent_id: str, id: str) -> bytes:
        agent = await self._agent(principal, "read", agent_id)
        return wav.of(await self._sound(agent, await self._entry(agent, id)))

    async def replace_file(
        self, principal: Principal, agent_id: str, id: str, file: bytes, filename: str | None
    ) -> None:
        """A recording of one's own in place of the synthetic voice."""
        agent = await self._agent(principal, "write", agent_id)
        entry = await self._entry(agent, id)
        sound = await _read(file)
        await self._replace(agent, entry, sound, replace(entry, is_imported=True, filename=_filename(filename)))
        await self._audit.note(principal, "audio_cache.change", *agent, id)

    async def replace_details(
        self,
        principal: Principal,
        agent_id: str,
        id: str,
        file: bytes,
        text: str | None,
        parameters: dict[str, Any] | None,
    ) -> None:
        """Sound that was made again, with the words and the tuning that it was made with."""
        agent = await self._agent(principal, "write", agent_id)
        entry = await self._entry(agent, id)
        if text is not None and not 0 < len(text.strip()) <= MAX_CHARACTERS:
            raise Invalid(f"settings.text should have 1 to {MAX_CHARACTERS:,} characters.")
        changed = replace(
            entry,
            transcript=entry.transcript if text is None else text.strip(),
            parameters=entry.parameters if parameters is None else parameters,
            is_regenerated=True,
        )
        await self._replace(agent, entry, await _read(file), changed)
        await self._audit.note(principal, "audio_cache.change", *agent, id)

    async def remove(self, principal: Principal, agent_id: str, ids: Sequence[str]) -> tuple[list[str], list[str]]:
        """(those that were removed, those that were not there)."""
        agent = await self._agent(principal, "write", agent_id)
        removed, failed = [], []
        for id_ in dict.fromkeys(ids):
            try:
                await self._remove(agent, await self._entry(agent, id_))
                removed.append(id_)
            except CacheEntryNotFound:
                failed.append(id_)
        if removed:
            await self._audit.note(principal, "audio_cache.remove", *agent, "", entries=len(removed))
        return removed, failed

    async def synthesize(
        self, principal: Principal, agent_id: str, id: str, text: str, parameters: dict[str, Any], language: str | None
    ) -> bytes:
        """What an entry would sound like with other words or another tuning. Nothing is kept."""
        agent = await self._agent(principal, "write", agent_id)
        entry = await self._entry(agent, id)
        if not 0 < len(text.strip()) <= MAX_CHARACTERS:
            raise Invalid(f"text should have 1 to {MAX_CHARACTERS:,} characters.")
        voice = Voice(
            language=language or entry.language or "en",
            provider=entry.provider,
            id=entry.voice_id,
            parameters={**entry.parameters, **parameters},
        )
        engines = await self._engines()
        return wav.of(b"".join([sound.pcm async for sound in engines.synthesizer.speak(text.strip(), voice)]))

    # Parts.

    async def _agent(self, principal: Principal, permission: Any, agent_id: str) -> _Agent:
        require(principal, permission, agent_id)
        if self._tasks:  # what was said just before is in it
            await asyncio.wait(self._tasks, timeout=KEEPING_SECONDS)
        return await self._deployments.account_of(principal, agent_id), agent_id

    async def _known(self, agent: _Agent) -> dict[str, Entry]:
        async with self._lock:
            if agent not in self._entries:
                bodies = await self._store.facts(*agent, FACT, self._clock.now())
                self._entries[agent] = {body["name"]: msgspec.convert(body["entry"], Entry) for body in bodies}
            return self._entries[agent]

    async def _entry(self, agent: _Agent, id: str) -> Entry:
        entry = next((e for e in (await self._known(agent)).values() if e.id == id), None)
        if entry is None:
            raise CacheEntryNotFound
        return entry

    async def _sound(self, agent: _Agent, entry: Entry) -> bytes:
        place = ("\0".join(agent), entry.id)
        known = self._sounds.get(place)
        if known is not None:
            self._sounds.move_to_end(place)
        else:
            known = await self._recordings.read(_file(agent, entry.id), wav.HEADER_BYTES, entry.samples * 2)
            current = next((e for e in (await self._known(agent)).values() if e.id == entry.id), None)
            if current is not None and current.cached_at == entry.cached_at:  # not replaced meanwhile
                self._sounds[place] = known
            while len(self._sounds) > MOST_SOUNDS:
                self._sounds.popitem(last=False)
        return known

    async def _replace(self, agent: _Agent, old: Entry, sound: bytes, entry: Entry) -> None:
        async with self._claims.hold(FACT, *agent, old.id):
            await self._replaced(agent, old, sound, entry)

    async def _replaced(self, agent: _Agent, old: Entry, sound: bytes, entry: Entry) -> None:
        await self._recordings.put(_file(agent, old.id), wav.of(sound))
        known = await self._known(agent)
        name = next((name for name, e in known.items() if e.id == old.id), None)
        if name is None:  # removed meanwhile
            await self._recordings.remove(_file(agent, old.id))
            raise CacheEntryNotFound
        known[name] = replace(entry, hits=known[name].hits, samples=len(sound) // 2, cached_at=self._clock.now())
        self._sounds.pop(("\0".join(agent), old.id), None)
        await self._write(agent, name)
        await self._news.tell("speech", *agent)

    async def _remove(self, agent: _Agent, entry: Entry) -> None:
        known = await self._known(agent)
        for name in [n for n, e in known.items() if e.id == entry.id]:
            del known[name]
        self._sounds.pop(("\0".join(agent), entry.id), None)
        self._written.pop((*agent, entry.id), None)
        async with self._claims.hold(FACT, *agent):
            await self._store.remove_fact(*agent, FACT, entry.id)
        await self._recordings.remove(_file(agent, entry.id))
        await self._news.tell("speech", *agent)


class _OfConversation:
    def __init__(self, cache: AudioCache, agent: _Agent, conversation_id: str) -> None:
        self._cache = cache
        self._agent = agent
        self._conversation_id = conversation_id

    async def find(self, text: str, voice: Voice, engine: str) -> Sound | None:
        return await self._cache.find(self._agent, text, voice, engine)

    def made(self, text: str, voice: Voice, sound: Sound) -> None:
        self._cache.made(self._agent, self._conversation_id, text, voice, sound)


def _name(text: str, voice: Voice) -> str:
    """The same words in the same voice, tuned the same."""
    return hashlib.sha256(msgspec.json.encode((text, voice), order="sorted")).hexdigest()


def _file(agent: _Agent, id: str) -> Name:
    return Name(*agent, f"audio-cache/{id}")


async def _read(file: bytes) -> bytes:
    if len(file) > MAX_BYTES:
        raise PayloadTooLarge(f"The file has more than {MAX_BYTES / 1e6:g} MB.")
    if file[:4] != b"RIFF" or file[8:12] != b"WAVE":
        raise wav.AudioInvalid("The file is not a WAV file.")
    sound = await asyncio.to_thread(partial(wav.read, file, most_seconds=MAX_SECONDS))
    if not sound:
        raise Invalid("The file has no sound in it.")
    return sound


def _filename(given: str | None) -> str | None:
    """As it is shown, never as a path."""
    name = (given or "").replace("\\", "/").rsplit("/", 1)[-1].strip()[:200]
    return name if name.isprintable() and name else None
