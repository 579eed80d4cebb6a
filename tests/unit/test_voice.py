"""Who speaks when, decided on virtual time; and the arithmetic of sound."""

from __future__ import annotations

import hashlib
import io
import wave
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vivavoce.audio import g711, mixing, muting, pcm, tones, wav
from vivavoce.audio.resampling import Resampler
from vivavoce.domain.agent import Agent, CallSettings, Experimental, Identity, Keyphrase, Pronunciation, Speech
from vivavoce.domain.call import Played
from vivavoce.domain.conversation import HandoffRequest, Message, PersonalSpan, Place, Snapshot, Turn
from vivavoce.domain.flow import AsrBiasing, Dtmf, Flow, PromptStep, StepSettings, Vad
from vivavoce.redaction import spoken
from vivavoce.redaction.finder import BUILT_IN
from vivavoce.service.conducting import amended
from vivavoce.service.manner import manner_after, transfer_of, voice_of
from vivavoce.telephony.dialect import Malformed
from vivavoce.telephony.plivo import PlivoDialect
from vivavoce.telephony.telnyx import TelnyxDialect
from vivavoce.telephony.twilio import TwilioDialect
from vivavoce.voice import barge_in, dtmf, endpointing
from vivavoce.voice.barge_in import BargeIn
from vivavoce.voice.dtmf import Entry, Keypad
from vivavoce.voice.endpointing import Endpointing, SilenceTimer, SpeechBegan, SpeechEnded, SpeechPaused
from vivavoce.voice.line import MOST_FRAMES, Arrivals
from vivavoce.voice.playout import Piece, Playout, up_to_word
from vivavoce.voice.pronouncing import pronounced, readable, sentences
from vivavoce.voice.word_errors import errors

STEP = pcm.FRAME_SECONDS


def events(pattern: str, settings: endpointing.Settings = endpointing.DEFAULT) -> list[tuple[float, object]]:
    """What is decided at which time: # is 20 ms of speech, . of silence, ~ of something between."""
    decider = Endpointing(settings)
    share = {"#": 0.9, ".": 0.1, "~": 0.4}
    found = []
    for number, character in enumerate(pattern):
        now = round((number + 1) * STEP, 3)
        if (heard := decider.hear(now, STEP, share[character])) is not None:
            found.append((now, heard))
    return found


# Endpointing.


def test_an_utterance_begins_where_its_speech_began_and_ends_where_it_stopped() -> None:
    found = events("." * 10 + "#" * 20 + "." * 40)
    assert [type(heard) for _, heard in found] == [SpeechBegan, SpeechPaused, SpeechEnded]
    assert found[0] == (0.3, SpeechBegan(at=pytest.approx(0.2)))
    assert found[1][0] == pytest.approx(0.8)  # 200 ms after the last speech
    ended = found[2][1]
    assert found[2][0] == pytest.approx(1.2) and ended == SpeechEnded(pytest.approx(0.2), pytest.approx(0.6))


def test_a_click_is_no_speech() -> None:
    assert events("." * 5 + "##" + "." * 60) == []


def test_a_pause_within_an_utterance_does_not_end_it() -> None:
    found = events("#" * 10 + "." * 20 + "#" * 10 + "." * 40)
    assert [type(heard) for _, heard in found] == [SpeechBegan, SpeechPaused, SpeechPaused, SpeechEnded]


def test_doubtful_sound_keeps_to_what_was() -> None:
    assert [type(heard) for _, heard in events("#" * 10 + "~" * 100)] == [SpeechBegan]
    assert events("~" * 100) == []


def test_an_utterance_without_end_is_taken_as_it_is() -> None:
    found = events("#" * 200, endpointing.Settings(longest=2.0))
    assert found[1][1] == SpeechEnded(pytest.approx(0.0), pytest.approx(2.0), is_cut=True)


def test_every_end_is_told_of_after_a_pause_so_that_recognition_may_begin_early() -> None:
    found = events("#" * 10 + "." * 40, endpointing.Settings(pauses_after=0.3, ends_after=0.3))
    assert [type(heard) for _, heard in found] == [SpeechBegan, SpeechPaused, SpeechEnded]


@given(st.text("#.~", max_size=400))
@settings(max_examples=200, deadline=None)
def test_whatever_is_heard_every_beginning_has_one_end_and_no_end_is_before_its_beginning(pattern: str) -> None:
    is_open = False
    for _, heard in events(pattern + "." * 60):
        match heard:
            case SpeechBegan():
                assert not is_open
                is_open = True
            case SpeechPaused():
                assert is_open
            case SpeechEnded():
                assert is_open and heard.start < heard.end
                is_open = False
    assert not is_open


def test_styles_and_what_is_expected_decide_how_long_a_silence_ends_an_utterance() -> None:
    assert endpointing.ends_after("precise") > endpointing.ends_after("balanced") > endpointing.ends_after("swift")
    assert endpointing.ends_after("sonic") == endpointing.ends_after("turbo") < endpointing.ends_after("swift")
    assert endpointing.ends_after("balanced", ("numeric",)) > endpointing.ends_after("balanced", ("yes_no",))
    assert endpointing.ends_after("unheard of") == endpointing.ends_after("balanced")


# Silence.


def test_silence_is_counted_from_when_it_is_the_callers_turn() -> None:
    timer = SilenceTimer(1.0)
    assert [now for now in range(1, 10) if timer.tick(now / 2, is_waiting=now > 3)] == [6, 9]


def test_anything_the_caller_does_starts_the_silence_anew() -> None:
    timer = SilenceTimer(1.0)
    told = [timer.tick(now / 10, is_waiting=now % 8 != 0) for now in range(100)]
    assert not any(told)


# Barge-in.


def interruption(pattern: str, settings: barge_in.Settings = barge_in.DEFAULT) -> float | None:
    decider = BargeIn(settings)
    for number, character in enumerate(pattern):
        if decider.hear(STEP, 0.9 if character == "#" else 0.0):
            return round((number + 1) * STEP, 3)
    return None


def test_a_caller_interrupts_by_speaking_for_a_quarter_of_a_second() -> None:
    assert interruption("." * 5 + "#" * 40) == pytest.approx(0.1 + 0.26)


def test_a_backchannel_or_a_cough_does_not_interrupt() -> None:
    assert interruption("#" * 11 + "." * 30 + "#" * 11 + "." * 30) is None


def test_broken_speech_adds_up() -> None:
    assert interruption("#####.....#####.....#####") is not None


def test_nobody_interrupts_an_agent_that_may_not_be_interrupted() -> None:
    assert interruption("#" * 100, barge_in.Settings(is_enabled=False)) is None


# Keys.


def test_an_entry_ends_with_its_terminator_which_is_no_part_of_it() -> None:
    keypad = Keypad()
    assert [keypad.press(key, number / 10) for number, key in enumerate("12#")][-1] == Entry("12", "#", 0.0, 0.2)


def test_an_entry_ends_when_it_is_full() -> None:
    keypad = Keypad(dtmf.Settings(most=2))
    assert keypad.press("4", 1.0) is None and keypad.press("2", 1.5) == Entry("42", "", 1.0, 1.5)


def test_an_entry_ends_when_no_further_key_comes() -> None:
    keypad = Keypad(dtmf.Settings(between=1.0))
    keypad.press("4", 1.0)
    assert keypad.tick(1.9) is None
    assert keypad.press("2", 1.9) is None and keypad.tick(2.8) is None
    assert keypad.tick(2.9) == Entry("42", "", 1.0, 1.9) and keypad.tick(9.0) is None


def test_keys_that_are_none_and_keys_that_are_not_wanted_are_left_out() -> None:
    keypad = Keypad()
    assert keypad.press("x", 0.0) is None and not keypad.is_active
    assert Keypad(dtmf.Settings(is_enabled=False)).press("#", 0.0) is None


def test_no_terminator_means_that_every_key_counts() -> None:
    keypad = Keypad(dtmf.Settings(end_key="", most=3))
    assert [keypad.press(key, 0.0) for key in "1#2"][-1] == Entry("1#2", "", 0.0, 0.0)


def test_an_entry_of_which_one_key_is_secret_is_secret_and_the_next_is_what_the_step_says() -> None:
    keypad = Keypad(dtmf.Settings(most=3))
    keypad.press("4", 0.0)
    keypad.settle(dtmf.Settings(most=3, is_secret=True))  # the step for a card begins with the entry under way
    keypad.settle(dtmf.Settings(most=3))
    assert keypad.is_secret
    keypad.press("2", 0.1)
    entry = keypad.press("1", 0.2)
    assert entry is not None and entry.digits == "421" and entry.is_secret
    assert not keypad.is_secret


@given(st.text("0123456789*#", max_size=80), st.integers(0, 6))
@settings(deadline=None)
def test_no_key_is_lost(keys: str, most: int) -> None:
    keypad = Keypad(dtmf.Settings(most=most))
    entries = [e for number, key in enumerate(keys) if (e := keypad.press(key, number * 0.1)) is not None]
    rest = keypad.tick(1e6)
    told = "".join(e.digits + e.end_key for e in (*entries, *([rest] if rest else [])))
    assert told == keys


# Playout.


def said(text: str, seconds: float) -> Piece:
    piece = Piece(text)
    piece.add(bytes([1, 0]) * round(seconds * pcm.RATE))
    piece.complete()
    return piece


def test_pieces_are_played_without_a_gap() -> None:
    playout = Playout()
    playout.add(said("one", 0.03))
    playout.add(said("two", 0.03))
    frames = [playout.frame(number * pcm.FRAME) for number in range(4)]
    assert frames[3] is None and b"".join(f or b"" for f in frames).count(bytes([1, 0])) == 960
    assert (playout.start, playout.end) == (0, 960)


def test_a_cut_reply_is_what_was_heard_of_it_to_the_word() -> None:
    playout = Playout()
    playout.add(said("One two three.", 1.0))
    playout.add(said("Four five six.", 1.0))
    for number in range(75):  # one and a half seconds
        playout.frame(number * pcm.FRAME)
    assert playout.cut() == "One two three. Four"
    assert playout.frame(0) is None and not playout.has_pieces


def test_a_paused_playout_goes_on_where_it_stopped() -> None:
    playout = Playout()
    playout.add(said("One two", 0.1))
    playout.frame(0)
    playout.is_paused = True
    assert playout.frame(320) is None and not playout.is_speaking
    playout.is_paused = False
    assert sum(playout.frame(n) is not None for n in range(10)) == 4


def test_keys_that_the_agent_presses_are_played_however_soon_its_turn_is_over() -> None:
    playout = Playout()
    playout.add(said("Let me put that in.", 0.1))
    keys = Piece("", is_interim=True, is_keys=True)
    keys.add(bytes([1, 0]) * 3200)
    keys.complete()
    playout.add(keys)
    playout.frame(0)
    playout.drop_interims()
    assert sum(playout.frame(n) is not None for n in range(1, 40)) == 14
    assert playout.heard == "Let me put that in."


def test_words_for_the_wait_are_dropped_when_the_reply_is_there_unless_they_have_begun() -> None:
    playout = Playout()
    playout.add(Piece("one moment", is_interim=True))
    playout.drop_interims()
    assert not playout.has_pieces
    begun = Piece("one moment", is_interim=True)
    begun.add(bytes(6400))
    playout.add(begun)
    playout.frame(0)
    playout.drop_interims()
    assert playout.has_pieces and playout.cut() == ""  # and they are no part of the reply


def test_a_piece_without_sound_holds_nobody_up() -> None:
    playout = Playout()
    playout.add(said("", 0.0))
    playout.add(said("two", 0.02))
    assert playout.frame(0) is not None


@given(st.text("abc  ", max_size=30), st.integers(0, 40))
def test_words_are_never_broken(text: str, count: int) -> None:
    kept = up_to_word(text, count)
    assert (text.startswith(kept) and len(kept) <= max(count, 0)) or kept == text
    assert kept == text or kept == "" or text[len(kept)].isspace()


# The line.


def test_sound_in_pieces_of_any_size_comes_out_in_frames() -> None:
    arrivals = Arrivals()
    for size in (1, 639, 640, 100, 1180):
        arrivals.put(bytes([7]) * size)
    frames = [arrivals.take() for _ in range(5)]
    assert [len(f) for f in frames if f is not None] == [640] * 4 and frames[4] is None


def test_doubled_and_late_sound_is_not_heard_twice() -> None:
    arrivals = Arrivals()
    for number in (1, 2, 2, 1, 3):
        arrivals.put(bytes([number]) * 640, number)
    assert [arrivals.take() for _ in range(4)] == [*(bytes([n]) * 640 for n in (1, 2, 3)), None]
    assert arrivals.dropped == 2


def test_a_flood_costs_its_sender_only() -> None:
    arrivals = Arrivals()
    for _ in range(50):
        arrivals.put(bytes([9]) * 64_000)
    taken = 0
    while arrivals.take() is not None:
        taken += 1
    assert taken <= MOST_FRAMES


def test_after_a_burst_pauses_are_shortened_and_words_are_not() -> None:
    loud = pcm.of_floats(np.full(pcm.FRAME, 0.3))
    arrivals = Arrivals()
    for frame in [loud] * 20 + [pcm.SILENCE] * 30 + [loud] * 20:
        arrivals.put(frame)
    taken = []
    while (frame := arrivals.take()) is not None:
        taken.append(frame)
    assert taken.count(loud) == 40 and len(taken) < 60


# Sound.


def test_telephone_coding_is_g711_bit_for_bit() -> None:
    """Digests of the 64k tables of the ITU's reference, which Python's audioop gave until 3.12."""
    every = np.arange(65536, dtype=np.uint16).tobytes()
    assert hashlib.sha256(g711.to_ulaw(every)).hexdigest()[:16] == "617fa4850d68d390"
    assert hashlib.sha256(g711.to_alaw(every)).hexdigest()[:16] == "f77c76aa923ee256"
    codes = bytes(range(256))
    assert g711.to_alaw(g711.from_alaw(codes)) == codes
    assert g711.to_ulaw(g711.from_ulaw(codes)).replace(b"\xff", b"\x7f") == codes.replace(b"\xff", b"\x7f")  # two zeros


def test_a_stream_that_is_resampled_keeps_its_length_and_its_tone() -> None:
    time = np.arange(pcm.RATE) / pcm.RATE
    tone = pcm.of_floats(0.5 * np.sin(2 * np.pi * 440 * time))
    down, up = Resampler(pcm.RATE, 8000), Resampler(8000, pcm.RATE)
    narrow = b"".join(down.feed(tone[at : at + 640]) for at in range(0, len(tone), 640)) + down.flush()
    wide = b"".join(up.feed(narrow[at : at + 320]) for at in range(0, len(narrow), 320)) + up.flush()
    assert len(tone) // 2 <= len(narrow) <= len(tone) // 2 + 32 and len(tone) <= len(wide) <= len(tone) + 128
    late = max(range(100), key=lambda n: float(np.dot(pcm.floats(wide)[n : n + 8000], pcm.floats(tone)[:8000])))
    assert late <= 80  # 5 ms both ways
    assert np.corrcoef(pcm.floats(wide)[800 + late : 8800], pcm.floats(tone)[800 : 8800 - late])[0, 1] > 0.999


@pytest.mark.parametrize(("rate", "to"), [(8000, 16000), (16000, 8000), (24000, 16000), (12000, 16000), (44100, 16000)])
def test_a_stream_that_is_resampled_is_never_held_back(rate: int, to: int) -> None:
    """Each 20 ms give 20 ms, however they are cut; and the pieces are the same sound as the whole."""
    sound = np.random.default_rng(3).integers(-9000, 9000, rate).astype("<i2").tobytes()
    stream, whole = Resampler(rate, to), Resampler(rate, to)
    pieces = [stream.feed(sound[at : at + rate // 50 * 2]) for at in range(0, len(sound), rate // 50 * 2)]
    assert all(abs(len(piece) // 2 - to // 50) <= 1 for piece in pieces)
    assert b"".join(pieces) == whole.feed(sound) and len(whole.feed(b"")) == 0


def test_resampling_down_lets_nothing_fold_back() -> None:
    time = np.arange(16000) / 16000
    high = pcm.of_floats(0.5 * np.sin(2 * np.pi * 5500 * time))
    assert pcm.level(Resampler(16000, 8000).feed(high)[400:]) < 0.0005


def test_what_we_write_is_what_every_player_reads() -> None:
    sound = np.arange(-500, 500, dtype="<i2").tobytes()
    with wave.open(io.BytesIO(wav.of(sound, channels=2))) as file:
        assert (file.getnchannels(), file.getframerate(), file.getsampwidth()) == (2, 16000, 2)
        assert file.readframes(1 << 20) == sound


@given(st.binary(max_size=300))
def test_no_file_breaks_the_reader(data: bytes) -> None:
    for file in (data, b"RIFF" + data, wav.header(len(data)) + data, b"RIFF\0\0\0\0WAVE" + data):
        try:
            found = wav.parsed(file)
        except wav.AudioInvalid:
            continue
        assert found.data_at + found.data_bytes <= len(file)


def test_two_channels_and_one_are_the_same_samples() -> None:
    left, right = np.arange(100, dtype="<i2").tobytes(), np.arange(100, 200, dtype="<i2").tobytes()
    stereo = mixing.interleaved(left, right)
    assert (mixing.channel(stereo, 0), mixing.channel(stereo, 1)) == (left, right)
    assert pcm.samples(mixing.mixed(stereo)).tolist() == [
        (a + b) // 2 for a, b in zip(range(100), range(100, 200), strict=True)
    ]


def test_keys_are_known_by_their_tones_and_speech_is_none() -> None:
    assert "".join(tones.heard(tones.tone(key)[:640]) for key in "0123456789*#ABCD") == "0123456789*#ABCD"
    time = np.arange(320) / pcm.RATE
    assert tones.heard(pcm.of_floats(0.3 * np.sin(2 * np.pi * 770 * time))) == "" and tones.heard(pcm.SILENCE) == ""
    noise = np.random.default_rng(1).normal(0, 0.1, 320 * 500)
    assert not any(tones.heard(pcm.of_floats(noise[at : at + 320])) for at in range(0, len(noise), 320))


@given(st.lists(st.tuples(st.integers(0, 900), st.integers(0, 900)), max_size=8), st.integers(0, 50))
def test_merged_spans_cover_the_same_samples_in_order(spans: list[tuple[int, int]], gap: int) -> None:
    found = muting.merged(spans, gap=gap)
    assert all(a[1] + gap < b[0] for a, b in pairwise(found))
    wanted = {n for start, end in spans for n in range(start, end)}
    assert wanted <= {n for start, end in found for n in range(start, end)}


def test_muting_leaves_all_other_samples_bit_for_bit() -> None:
    sound = np.random.default_rng(2).integers(-3000, 3000, 2000).astype("<i2").tobytes()
    muted = muting.muted(sound, [(150, 300), (1900, 5000)], first=100)
    values, before = pcm.samples(muted), pcm.samples(sound)
    assert not values[50:200].any() and not values[1800:].any()
    assert (values[:50] == before[:50]).all() and (values[200:1800] == before[200:1800]).all()


def test_a_span_is_drawn_out_to_a_pause() -> None:
    loud, quiet = np.full(4000, 0.3), np.zeros(1600)
    sound = pcm.of_floats(np.concatenate((loud, quiet, loud, quiet, loud)))
    start, end = muting.at_pauses(sound, (6000, 9000), reach=4000, within=(0, 15200))
    assert 4000 <= start < 5600 and 9600 < end <= 11200


# What is personal in a sound.


def words(*said: str) -> list[spoken.Timed]:
    return [spoken.Timed(word, number * 0.5, number * 0.5 + 0.4) for number, word in enumerate(said)]


def test_personal_words_next_to_each_other_are_one_stretch() -> None:
    said = words("my", "number", "is", "07700", "900", "461", "thanks", "a", "lot")
    (stretch,) = spoken.stretches(said, BUILT_IN.thorough)
    assert stretch[0] <= said[3].start and stretch[1] == said[5].end


def test_digits_that_are_left_beside_what_is_muted_are_heard() -> None:
    said = words("it", "is", "seven", "please", "and", "thank", "you", "very", "much", "four")
    assert spoken.rests(said, [(1.5, 2.5)], frozenset()) == [(1.0, 1.4)]
    assert spoken.rests(said, [(1.5, 2.5)], frozenset({"please"})) == [(1.0, 1.9)]


# Words for a voice.


def test_each_pronunciation_works_on_what_the_one_before_has_made() -> None:
    rules = (
        Pronunciation(pattern=r"\bDr\.", replacement="Doctor"),
        Pronunciation(pattern="doctor", replacement="physician"),
        Pronunciation(pattern="Smith", replacement="Smythe", case_sensitive=True),
        Pronunciation(pattern="physician", replacement="Arzt", language="de"),
    )
    assert pronounced("Dr. Smith and smith", rules, "en-GB") == "physician Smythe and smith"
    assert pronounced("doctor", rules, "de-DE") == "Arzt"


def test_a_pattern_without_end_costs_the_call_nothing() -> None:
    rules = (Pronunciation(pattern="(a+)+$", replacement="x"), Pronunciation(pattern="!", replacement="."))
    assert pronounced("a" * 40 + "!", rules, "en") == "a" * 40 + "."


def test_marks_of_written_text_are_not_read_out() -> None:
    assert readable("**Open** [here](https://example.com/x) &amp; <b>now</b>") == "Open here & now"
    assert sentences("One. Two? Three!\nFour") == ["One.", "Two?", "Three!", "Four"]


def test_word_errors_count_words_and_digits_alike() -> None:
    assert errors("Call 0132, please!", "call zero one three two please") == (0, 6)
    assert errors("one two three", "one three four") == (2, 3)
    assert errors("", "something") == (1, 0)


# How a call listens after a turn.

NO_SETTINGS = StepSettings()
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def turn(**fields: object) -> Turn:
    return Turn(index=1, started_at=NOW, finished_at=NOW, **fields)  # type: ignore[arg-type]


def agent(settings: StepSettings = NO_SETTINGS, **fields: object) -> Agent:
    step = PromptStep(name="S", kind="advanced", prompt="p", settings=settings)
    flow = Flow(name="F", folder="f", start_step="S", steps={"S": step})
    return Agent(identity=Identity(agent_id="a", account_id="b"), flows={"F": flow}, **fields)  # type: ignore[arg-type]


IN_STEP = Place(flow="F", step="S")


def test_the_step_beats_the_agent_and_a_function_beats_both() -> None:
    settings = StepSettings(
        dtmf=Dtmf(max_digits=4, inter_digit_timeout=1.5, end_key="*", is_pii=True), barge_in=False, vad=Vad(end=1.1)
    )
    made = agent(settings, speech=Speech(barge_in=True))
    outside = manner_after(made, turn(), Snapshot(), "en")
    inside = manner_after(made, turn(place_after=IN_STEP), Snapshot(), "en")
    assert outside.barge_in.is_enabled and not inside.barge_in.is_enabled
    assert inside.keys == dtmf.Settings(most=4, end_key="*", between=1.5, is_secret=True)
    assert inside.endpointing.ends_after == 1.1
    listen = {
        "dtmf": {"num_digits": 2, "finish_on_key": "#"},
        "barge_in": {"is_enabled": True},
        "asr": {"timeout": 0.05},
    }
    asked = manner_after(made, turn(place_after=IN_STEP, listen=listen), Snapshot(), "en")
    assert asked.keys.most == 2 and asked.keys.end_key == "#" and asked.barge_in.is_enabled
    assert asked.silence_seconds == 0.1  # no shorter than a frame or two


def test_what_author_code_sends_as_settings_cannot_break_a_call() -> None:
    listen = {
        "asr": {"timeout": "soon", "keywords": 3},
        "dtmf": {"num_digits": -1, "inter_digit_timeout": True},
        "barge_in": 7,
    }
    found = manner_after(agent(), turn(listen=listen), Snapshot(asr_biasing={"keywords": None}), "en")
    assert found == manner_after(agent(), turn(), Snapshot(), "en")


def test_recognition_listens_for_the_phrases_of_the_folder_the_step_and_the_code() -> None:
    made = agent(
        StepSettings(asr_biasing=AsrBiasing(kinds=("numeric",), custom_keywords=("derailleur",))),
        speech=Speech(keyphrases=(Keyphrase(phrase="Spoke", level="maximum"), Keyphrase(phrase="Chain"))),
    )
    snapshot = Snapshot(asr_biasing={"keywords": ["puncture"], "custom_biases": {"Chain": 5}})
    hints = manner_after(made, turn(place_after=IN_STEP), snapshot, "en-GB").hints
    assert dict(hints.phrases) == {"Chain": 5.0, "Spoke": 3.0, "derailleur": 2.0, "puncture": 2.0}
    assert hints.kinds == ("numeric",) and hints.language == "en-GB"


def test_flows_may_be_for_keys_only() -> None:
    calls = CallSettings(without_speech={"F": ("S",)}, first_key_seconds={"F": {"S": 3}})
    made = agent(experimental=Experimental(calls=calls))
    inside = manner_after(made, turn(place_after=IN_STEP), Snapshot(), "en")
    assert not inside.hears_speech and inside.silence_seconds == 3
    assert manner_after(made, turn(), Snapshot(), "en").hears_speech
    spoken_only = manner_after(made, turn(listen={"channel": "SPEECH"}), Snapshot(), "en")
    assert spoken_only.hears_speech and not spoken_only.keys.is_enabled


def test_a_conversation_keeps_the_voice_that_was_drawn_for_it() -> None:
    weighted = {
        "weighted": [{"voice": {"provider": "p", "provider_voice_id": name}, "weight": None} for name in "abcd"]
    }
    drawn = {voice_of(weighted, "en", f"conversation {n}").id for n in range(60)}
    assert drawn == set("abcd")
    assert len({voice_of(weighted, "en", "one").id for _ in range(20)}) == 1
    only = {
        "weighted": [
            {"voice": {"provider_voice_id": "x"}, "weight": 1.0},
            {"voice": {"provider_voice_id": "y"}, "weight": 0},
        ]
    }
    assert {voice_of(only, "en", str(n)).id for n in range(30)} == {"x"}


def test_a_handoff_says_where_the_call_goes() -> None:
    route = {"refer": {"phone_number": "sip:a@b", "sip_headers": {"X-A": "1"}}}
    found = transfer_of(HandoffRequest(destination="Sales", route=route))
    assert found is not None and (found.method, found.number, found.headers) == ("refer", "sip:a@b", {"X-A": "1"})
    assert transfer_of(None) is None


# What was heard of a reply.


def test_an_interrupted_reply_is_what_was_heard_and_the_model_is_told_so() -> None:
    before = turn(
        reply="Your number is 07700 900461, is that right?",
        messages=(
            Message(role="user", content="hi"),
            Message(role="assistant", content="Your number is 07700 900461, is that right?"),
        ),
        personal=(PersonalSpan("reply", 15, 27, "phone"), PersonalSpan("input", 0, 2, "name")),
    )
    after = amended(before, Played(start=0, end=10, heard="Your number is 07700"))
    assert after.reply == "Your number is 07700" and after.unplayed == " 900461, is that right?"
    assert after.messages[-1].content == "Your number is 07700" and after.messages[0].content == "hi"
    assert after.personal == (PersonalSpan("reply", 15, 20, "phone"), PersonalSpan("input", 0, 2, "name"))
    assert amended(before, Played(start=0, end=10)).reply == before.reply


def test_a_reply_of_which_nothing_was_heard_is_empty() -> None:
    before = turn(reply="Hello there", messages=(Message(role="assistant", content="Hello there"),), personal=())
    after = amended(before, Played(heard=""))
    assert (after.reply, after.unplayed, after.messages[0].content) == ("", "Hello there", "")


@pytest.mark.parametrize("dialect", [TwilioDialect, TelnyxDialect, PlivoDialect])
def test_a_message_that_is_no_text_is_malformed_and_no_more(dialect: Any) -> None:
    for message in (b'{"event":"dt\xe3f"}', b"\xff", "\ud800", '{"event":' + "[" * 5000):
        with pytest.raises(Malformed):
            dialect().read(message)
