"""vivavoce call"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vivavoce import settings
from vivavoce.errors import UsageError

if TYPE_CHECKING:
    from vivavoce.speech.interface import Synthesizer
    from vivavoce.voice.simulated import Act

NOT_INTERRUPTED = (
    "The caller did not interrupt: the agent does not allow it (barge_in in voice/speech_recognition/asr_settings.yaml, or of "
    "the step), or had finished by then."
)
KEYS = frozenset("0123456789*#ABCD")
FIELDS = ("say", "press", "silent", "hang_up", "interrupts_after")


@click.command("call")
@click.argument("folder", metavar="AGENT_DIR")
@click.option("--script", type=click.Path(exists=True, dir_okay=False), help="What the caller says, as YAML.")
@click.option("--wav", type=click.Path(exists=True, dir_okay=False), help="A recording of the caller's side.")
@click.option("--fast", is_flag=True, help="As fast as the engines allow, not in real time.")
@click.option(
    "--out",
    type=click.Path(dir_okay=False),
    help="Where the recording is written, caller left, agent right; CONVERSATION.wav when left out.",
)
@click.option("--json", "as_json", is_flag=True, help="Print everything as one JSON object.")
@click.option("--variant", help="The variant to begin with.")
@click.option("--lang", help="Language tag, such as en-GB.")
@click.option("--env", "environment", default="sandbox", show_default=True, help="sandbox, pre-release, live or draft.")
@click.option("--caller", help="The caller's number; the script may say it too.")
@click.option("--model", help="local, scripted:FILE or PROVIDER:MODEL.")
@click.option("--data", help="Folder of the database and recordings; ~/.local/share/vivavoce when left out.")
def command(
    folder: str, script: str | None, wav: str | None, fast: bool, out: str | None, as_json: bool, variant: str | None,
    lang: str | None, environment: str, caller: str | None, model: str | None, data: str | None,
) -> None:  # fmt: skip
    """Hold a simulated call: the caller's lines are spoken, recognised, answered and recorded as on the telephone."""
    from vivavoce.cli.loop import run  # noqa: PLC0415  # not needed for --help

    if (script is None) == (wav is None):
        raise click.UsageError("Give the caller's side with --script FILE or --wav FILE.")
    config = settings.load(data=data, model=model)
    logging.getLogger("faster_whisper").setLevel(logging.WARNING)
    if out is not None and not Path(out).absolute().parent.is_dir():
        raise UsageError(f"{Path(out).parent} is not a folder; --out cannot be written there.")
    asked = read_script(Path(script)) if script is not None else {"lines": []}
    opening = {
        "environment": environment,
        "variant": variant or asked.get("variant"),
        "asr_language": lang or asked.get("language"),
        "tts_language": lang or asked.get("language"),
        "caller_number": caller or asked.get("caller"),
    }
    run(_call(config, Path(folder), asked["lines"], wav, opening, is_fast=fast, out=out, as_json=as_json))


def read_script(path: Path) -> dict[str, Any]:
    """`caller`, `language` and `variant` beside `lines`, each of which says, presses, waits or hangs up."""
    from ruamel.yaml import YAML  # noqa: PLC0415  # slow to load
    from ruamel.yaml.error import YAMLError  # noqa: PLC0415

    try:
        found = YAML(typ="safe", pure=True).load(path.read_text("utf-8"))
    except (YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise UsageError(f"{path} is not readable YAML: {' '.join(str(error).split())[:200]}") from None
    if isinstance(found, list):
        found = {"lines": found}
    if not isinstance(found, dict) or not isinstance(found.get("lines"), list):
        raise UsageError(f"{path} should have a list `lines`, such as: lines: [{{say: When are you open?}}]")
    for key, value in found.items():
        if key not in ("caller", "language", "variant", "lines"):
            raise UsageError(f"{path}: {key!r} is not one of caller, language, variant and lines.")
        if key != "lines" and not isinstance(value, str):
            raise UsageError(f'{path}: {key} should be text; put it in quotes, such as {key}: "+447700900461".')
    found["lines"] = [_line(item, f"{path}, item {number}") for number, item in enumerate(found["lines"], 1)]
    return found


def _line(item: Any, where: str) -> dict[str, Any]:
    if isinstance(item, str):
        item = {"say": item}
    if not isinstance(item, dict):
        raise UsageError(f"{where}: it should be text, or one of say, press, silent and hang_up.")
    for key in item:
        if key not in FIELDS:
            raise UsageError(f"{where}: {key!r} is not one of {', '.join(FIELDS)}.")
    if sum(key in item for key in ("say", "press", "silent", "hang_up")) != 1:
        raise UsageError(f"{where}: it should be one of say, press, silent and hang_up, not several.")
    if "say" in item and not (isinstance(item["say"], str) and any(c.isalnum() for c in item["say"])):
        raise UsageError(f"{where}: say should be words; a caller who says nothing is `silent: true`.")
    if any(item.get(key, True) is not True for key in ("silent", "hang_up")):
        raise UsageError(f"{where}: silent and hang_up are true, or left out.")
    pressed = item.get("press", "0")
    if not (isinstance(pressed, str) and pressed and set(pressed.upper()) <= KEYS):
        raise UsageError(f"{where}: press should be keys, 0-9, *, # and A-D, in quotes.")
    after = item.get("interrupts_after", 0)
    if isinstance(after, bool) or not isinstance(after, (int, float)) or not 0 <= after < 3600:
        raise UsageError(f"{where}: interrupts_after should be seconds.")
    if "interrupts_after" in item and "say" not in item:
        raise UsageError(f"{where}: interrupts_after belongs to say.")
    return item


async def acts_of(lines: list[dict[str, Any]], synthesizer: Synthesizer, language: str) -> list[Act]:
    """The caller's lines as sound and keys."""
    from vivavoce.speech.interface import SpeechError, Voice  # noqa: PLC0415
    from vivavoce.voice.simulated import HangUp, Press, Speak, Wait  # noqa: PLC0415

    acts: list[Act] = []
    for line in lines:
        if "say" in line:
            text = str(line["say"])
            try:
                sound = b"".join([piece.pcm async for piece in synthesizer.speak(text, Voice(language=language))])
            except SpeechError as error:
                raise UsageError(f"The caller's line {text[:60]!r} cannot be spoken: {error.message}") from None
            acts.append(Speak(sound, text, line.get("interrupts_after")))
        elif "press" in line:
            acts.append(Press(str(line["press"]).upper()))
        else:
            acts.append(HangUp() if "hang_up" in line else Wait())
    return acts


async def _call(
    config: settings.Settings,
    folder: Path,
    lines: list[dict[str, Any]],
    wav_file: str | None,
    given: dict[str, Any],
    *,
    is_fast: bool,
    out: str | None,
    as_json: bool,
) -> None:
    from vivavoce.audio import wav  # noqa: PLC0415
    from vivavoce.cli import call_report  # noqa: PLC0415
    from vivavoce.cli.local import owned, server_of  # noqa: PLC0415
    from vivavoce.service.chats import Opening  # noqa: PLC0415
    from vivavoce.service.keys import OPERATOR  # noqa: PLC0415
    from vivavoce.voice.pace import AsFastAsPossible, RealTime  # noqa: PLC0415
    from vivavoce.voice.simulated import SimulatedCaller, Speak  # noqa: PLC0415

    if (address := server_of(config)) is not None:
        raise UsageError(
            f"A server at {address} has {config.data}; call it at {address}/call, or give this command its own --data."
        )
    async with owned(config, (folder,)) as started:
        calls = started.services.calls
        with call_report.waiting("loading the engines…", is_quiet=as_json):
            engines = await started.engines()
        if wav_file is not None:
            acts: list[Act] = [Speak(wav.read(Path(wav_file)))]
        else:
            acts = await acts_of(lines, engines.synthesizer, given["tts_language"] or "en")
        screen = call_report.Live(is_quiet=as_json)
        caller = SimulatedCaller(acts, is_immediate=wav_file is not None, told=screen.tell)
        agent = started.services.deployments.served[0].agent_id
        ended = await calls.hold(
            OPERATOR, agent, Opening(**given), caller, pace=AsFastAsPossible() if is_fast else RealTime()
        )
        if ended.conversation is None:
            raise UsageError("The call could not be held; the log above says why.")
        with call_report.waiting("listening for personal data…", is_quiet=as_json):
            await started.work.run_due()
        found = await started.services.conversations.get(OPERATOR, agent, ended.conversation.id)
        path = await call_report.written(started.services, OPERATOR, found, out or f"{found.conversation.id}.wav")
        if any("interrupts_after" in line for line in lines) and not any(
            turn.input.spoken is not None and turn.input.spoken.is_barge_in for turn in found.turns
        ):
            screen.note(NOT_INTERRUPTED)
        call_report.show(found, lines, ended, path, as_json=as_json)
