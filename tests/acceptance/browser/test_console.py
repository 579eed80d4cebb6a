"""The console as people use it, in the system's Chromium: each page, by mouse and keyboard, in any light and on any screen."""

from __future__ import annotations

import http.server
import json
import re
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.acceptance.browser.conftest import AGENT, Server, Watched, check_accessible, sign_in
from tests.support.http import KEY

QUICK = 10_000  # milliseconds
HOSTILE = '<img src=x onerror="window.hacked=1"><script>window.hacked=2</script>'


def ask(server: Server, path: str, body: Any = None, *, method: str | None = None, key: str = KEY) -> Any:
    data = json.dumps(body).encode() if body is not None else None
    headers = {"X-API-KEY": key, "Content-Type": "application/json"}
    request = urllib.request.Request(server.address + path, data, headers, method=method)
    with urllib.request.urlopen(request, timeout=20) as reply:
        return json.loads(reply.read() or b"null")


def talk(server: Server, *lines: str, **opening: Any) -> str:
    chat = "/v1/agents/bike-workshop/debug-chat"
    id = ask(server, chat, {"clientEnv": "sandbox", **opening})["conversationId"]
    for line in lines:
        ask(server, f"{chat}/{id}", {"clientEnv": "sandbox", "message": line})
    return str(id)


def a_call(server: Server) -> str:
    found = ask(server, "/v1/agents/bike-workshop/conversations?channel=VOICE-SIP&sort=startedAt")["conversations"]
    return str(found[0]["conversationId"])


def await_searchable(server: Server, id: str, word: str) -> None:
    """What was said is put into the index in the background, once its conversation has ended."""
    search = f"/v1/agents/bike-workshop/conversations?queryType=transcript&query={word}"
    deadline = time.monotonic() + 20
    while id not in {one["conversationId"] for one in ask(server, search)["conversations"]}:
        assert time.monotonic() < deadline, f"{word} is not found"
        time.sleep(0.05)


def every_page(server: Server) -> dict[str, str]:
    said = talk(
        server,
        "Do you work on electric bikes?",
        "My back tyre is flat, can you do it on Thursday?",
        "the second one",
        "no thanks, that's all",
    )
    conversations = f"{AGENT}/conversations"
    return {
        "home": "/console", "agent": f"{AGENT}?q=are+you+open+on+sundays", "conversations": conversations,
        "search": f"{conversations}?queryType=transcript&query=electric&clientEnv=sandbox", "nothing": f"{conversations}?tag=none",
        "review": f"{conversations}/{said}?layers=variables&layers=flows&layers=calls&layers=topics&layers=latency&layers=logs&layers=requests",
        "call": f"{conversations}/{a_call(server)}", "prompt": f"{conversations}/{said}/turns/1/prompt", "talk": f"{AGENT}/talk",
        "talk on": f"{AGENT}/talk?conversation={said}", "voice": f"{AGENT}/talk?mode=call", "operations": "/console/operations",
        "A/B tests": f"{AGENT}/ab-tests",
        "not found": f"{conversations}/none", "sign in": "/console/sign-in?next=/console",
    }  # fmt: skip


# 0. On every page.


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_every_page_is_accessible_and_fits(
    browser: Browser, watched: Watched, server: Server, scheme: Any, width: int
) -> None:
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = watched(context)
    sign_in(page, server)
    for name, path in every_page(server).items():
        if name == "sign in":
            page.context.clear_cookies()
        page.goto(server.address + path)
        page.wait_for_load_state("networkidle")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
        check_accessible(page)
    context.close()


def test_pages_can_be_read_without_scripts_and_bring_nothing_from_elsewhere(browser: Browser, server: Server) -> None:
    pages = every_page(server)
    context = browser.new_context(java_script_enabled=False, viewport={"width": 1280, "height": 900})
    asked: list[str] = []
    context.on("request", lambda request: asked.append(request.url))
    page = context.new_page()
    page.goto(f"{server.address}/console/sign-in")
    page.get_by_label("API key").fill(KEY)
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator("h1")).to_have_text("Home")
    page.goto(server.address + pages["review"])
    expect(page.locator("#turn-1 .bubble.agent")).to_contain_text("Bosch")
    expect(page.locator("#turn-2")).to_contain_text("flows/book_a_repair/functions/check_day.py:")
    page.locator("#turn-1 details summary").click()
    page.get_by_role("link", name="Show the prompt").first.click()
    expect(page.locator("main")).to_contain_text("agent_settings/rules.txt")
    page.goto(server.address + pages["call"])
    expect(page.locator("audio")).to_have_count(1)
    page.goto(server.address + pages["agent"])
    expect(page.locator("#knowledge")).to_contain_text("topics/opening_hours.yaml")
    page.goto(server.address + pages["conversations"])
    page.locator("summary", has_text="Filter").click()
    page.locator("select[name=handoff]").select_option("true")
    page.get_by_role("button", name="Filter").click()
    expect(page.locator(".chips")).to_contain_text("Handed off: yes")
    assert asked and all(url.startswith(server.address) for url in asked)
    context.close()


def test_the_colours_are_chosen_and_stay(page: Page, server: Server) -> None:
    theme = page.locator("#theme")
    for wanted in ("light", "dark"):
        theme.click()
        expect(page.locator("html")).to_have_attribute("data-theme", wanted)
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(22, 22, 21)"


# Signing in.


def test_a_wrong_key_is_told_and_a_right_one_lets_in_to_where_one_was_going(
    context: BrowserContext, watched: Watched, server: Server
) -> None:
    page = watched(context)
    page.goto(f"{server.address}{AGENT}/talk")
    page.get_by_label("API key").fill("vv_wrong")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("not valid here")
    page.get_by_label("API key").fill(KEY)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"**{AGENT}/talk")
    expect(page.locator("h1")).to_have_text("Talk")
    (cookie,) = (c for c in context.cookies() if c["name"].startswith("vivavoce_session"))
    assert cookie["httpOnly"] and cookie["sameSite"] == "Strict"
    assert KEY not in json.dumps(context.storage_state())  # the key itself is kept nowhere


def test_the_key_in_a_link_is_taken_out_of_the_address(
    context: BrowserContext, watched: Watched, server: Server
) -> None:
    page = watched(context)
    sign_in(page, server)
    assert "key" not in page.url
    page.go_back()
    assert "key" not in page.url


def test_a_session_that_has_ended_leads_to_signing_in_and_back(page: Page, server: Server) -> None:
    page.goto(f"{server.address}{AGENT}/talk")
    page.click("#begin")
    expect(page.locator("#log")).to_contain_text("Spoke and Chain", timeout=QUICK)
    page.context.clear_cookies()
    page.get_by_label("Message").fill("When are you open?")
    page.get_by_role("button", name="Send").click()
    page.wait_for_url("**/console/sign-in?next=*", timeout=QUICK)
    page.get_by_label("API key").fill(KEY)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/talk?*conversation=*")
    expect(page.locator("#log")).to_contain_text("Spoke and Chain")
    page.goto(f"{server.address}{AGENT}/conversations")
    page.context.clear_cookies()
    page.wait_for_url("**/console/sign-in?next=*", timeout=QUICK)  # the list asks again by itself, and is told


@contextmanager
def another_site(body: bytes) -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    found = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=found.serve_forever, daemon=True).start()
    yield f"http://localhost:{found.server_address[1]}/"
    found.shutdown()
    found.server_close()


def test_another_site_can_do_nothing_in_ones_name(context: BrowserContext, server: Server) -> None:
    page = context.new_page()  # not watched: what the browser refuses is told as a problem
    sign_in(page, server)
    id = talk(server)
    where = f"{server.address}{AGENT}/conversations/{id}"
    form = (
        f'<form id=f method=post action="{where}/note"><input name=note value=forged></form><script>f.submit()</script>'
    )
    with another_site(form.encode()) as site:
        page.goto(site)
        page.wait_for_load_state("networkidle")
    assert ask(server, f"/v1/agents/bike-workshop/conversations/{id}")["note"] is None
    with another_site(f'<a href="{where}">a link</a><iframe src="{where}"></iframe>'.encode()) as site:
        page.goto(site)
        assert page.frames[1].evaluate("document.body?.innerText ?? ''").find("Spoke and Chain") < 0
        page.get_by_role("link").click()
        page.wait_for_url(f"**/{id}")  # by way of the page that signs in, which finds that one is
        expect(page.locator("#turn-0")).to_contain_text("Spoke and Chain")


def test_hostile_text_is_only_ever_shown(page: Page, server: Server) -> None:
    id = talk(server, HOSTILE, integrationAttributes={"x": HOSTILE})
    path = f"/v1/agents/bike-workshop/conversations/{id}"
    ask(server, f"{path}/note", {"note": HOSTILE})
    ask(server, f"{path}/tags", {"tags": [HOSTILE[:90]]}, method="PUT")
    ask(
        server,
        f"{path}/annotations",
        {"annotations": [{"turnId": 1, "role": "agent", "annotationType": "other", "text": HOSTILE}]},
    )
    for where in (
        f"/{id}?layers=requests",
        f"?queryType=transcript&query=img&tag={HOSTILE[:90]}",
        f"/{id}/turns/1/prompt",
        f"/{HOSTILE}",
    ):
        page.goto(f"{server.address}{AGENT}/conversations{where}")
        page.wait_for_load_state("networkidle")
        assert page.evaluate("window.hacked") is None and page.locator("main img").count() == 0
    page.goto(f"{server.address}{AGENT}/talk?conversation={id}")
    page.get_by_label("Message").fill(HOSTILE)
    page.get_by_role("button", name="Send").click()
    expect(page.locator("#turn-2")).to_contain_text("onerror", timeout=QUICK)
    expect(page.locator("#log .user").last).to_have_text(HOSTILE)
    assert page.evaluate("window.hacked") is None and page.locator("main img").count() == 0


# 1. Home.


def test_home_shows_how_the_agent_does(page: Page, server: Server) -> None:
    talk(server, "When are you open?", "no thanks, that's all")
    figures = page.locator(".figures")

    def counted() -> bool:
        page.goto(f"{server.address}/console")
        return page.locator(".plot canvas").count() >= 4

    for _ in range(40):  # until what has ended is counted, in the background
        if counted():
            break
        page.wait_for_timeout(250)
    expect(page.locator(".plot canvas")).to_have_count(4)
    expect(figures).to_contain_text("100 %")
    expect(page.locator(".environments")).to_contain_text(re.compile(r"draft\s*[0-9a-f]{12}"))
    page.get_by_text("As a table").first.click()
    expect(page.locator(".chart table").first).to_be_visible()
    page.get_by_label("Days").select_option("7")
    page.wait_for_url("**days=7**")


# 2. Talk.


def test_a_conversation_is_held_beside_its_trace(page: Page, server: Server) -> None:
    page.goto(f"{server.address}{AGENT}/talk")
    page.get_by_label("Variant").select_option("Old Town")
    page.get_by_label("Attributes, JSON").fill('{"plan": "gold"}')
    page.click("#begin")
    log, trace = page.locator("#log"), page.locator("#trace")
    expect(log).to_contain_text("Spoke and Chain, Old Town", timeout=QUICK)
    page.get_by_label("Message").fill("My back tyre is flat, can you do it on Thursday?")
    page.keyboard.press("Enter")
    turn = trace.locator("#turn-1")
    expect(turn).to_contain_text("flows/book_a_repair/functions/check_day.py:", timeout=QUICK)
    for told in (
        "Book a repair/Pick a time",
        "topics/book_a_repair.yaml",
        "wanted_day",
        "Old Town",
        "whole turn",
        "local",
    ):
        expect(turn).to_contain_text(told)
    assert turn.locator(".waterfall rect").count() >= 3
    turn.get_by_text("prompt as sent").click()
    expect(turn.locator(".prompt")).to_contain_text("agent_settings/rules.txt", timeout=QUICK)
    expect(turn.locator(".prompt")).to_contain_text("flows/book_a_repair/steps/what_and_when.yaml")
    page.get_by_role("button", name="Silence").click()
    expect(trace.locator("#turn-2")).to_contain_text("(silence)", timeout=QUICK)
    page.get_by_role("button", name="Keypad").click()
    page.locator("#keys").get_by_role("button", name="5").click()
    page.get_by_role("button", name="Press").click()
    expect(trace.locator("#turn-3")).to_contain_text("keys 5", timeout=QUICK)
    page.get_by_role("button", name="Copy as curl").click()
    expect(page.locator("#toasts")).to_contain_text("Copied")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert (
        copied.count("curl -s") == 4
        and '"variantId":"Old Town"' in copied
        and '"dtmf":"5"' in copied
        and KEY not in copied
    )
    page.get_by_role("button", name="Copy link").click()
    link = page.evaluate("navigator.clipboard.readText()")
    page.reload()  # goes on where it was
    expect(page.locator("#trace .turn")).to_have_count(4)
    page.click("#begin")
    expect(page.locator("#trace .turn")).to_have_count(1, timeout=QUICK)
    page.goto(link)
    expect(page.locator("#turn-1")).to_contain_text("flat")
    expect(page.locator("main")).to_contain_text("ended: client")  # starting again ended it


def test_a_reply_shows_while_it_comes(page: Page, server: Server) -> None:
    """What is told before the turn is committed is on the screen before it is."""
    page.goto(f"{server.address}{AGENT}/talk")
    page.click("#begin")
    expect(page.locator("#trace .turn")).to_have_count(1, timeout=QUICK)
    order = page.evaluate("""async () => {
      const log = document.getElementById("log"), seen = [];
      new MutationObserver((changes) => { for (const change of changes) for (const node of change.addedNodes) if (node.className) seen.push(node.className); })
        .observe(log, { childList: true });
      document.querySelector("#say input").value = "Do you work on electric bikes?";
      document.getElementById("say").requestSubmit();
      while (!document.getElementById("turn-1")) await new Promise((done) => setTimeout(done, 10));
      return seen;
    }""")
    assert order == ["bubble user", "bubble agent streaming", "bubble agent"]


def test_a_server_that_restarts_is_noticed_and_the_message_arrives_once(page: Page, server: Server) -> None:
    page.goto(f"{server.address}{AGENT}/talk")
    page.click("#begin")
    expect(page.locator("#trace .turn")).to_have_count(1, timeout=QUICK)
    server.kill()
    page.get_by_label("Message").fill("When are you open?")
    page.get_by_role("button", name="Send").click()
    expect(page.locator("#away")).to_be_visible(timeout=QUICK)
    server.start()
    expect(page.locator("#log")).to_contain_text("Monday to Friday", timeout=30_000)
    expect(page.locator("#away")).to_be_hidden()
    expect(page.locator("#trace .turn")).to_have_count(2)
    page.goto(f"{server.address}{AGENT}/conversations")
    server.kill()
    expect(page.locator("#away")).to_be_visible(timeout=QUICK)
    server.start()
    expect(page.locator("#away")).to_be_hidden(timeout=30_000)


# 3. Conversations.


def test_a_list_is_filtered_by_chips_searched_sorted_and_saved(page: Page, server: Server) -> None:
    id = talk(server, "Do you work on electric bikes?", "no thanks, that's all")
    ask(server, f"/v1/agents/bike-workshop/conversations/{id}/tags", {"tags": ["vip"]}, method="PUT")
    await_searchable(server, id, "electric")
    page.goto(f"{server.address}{AGENT}/conversations")
    page.locator("summary", has_text="Filter").click()
    page.locator("input[name=tag]").fill("vip")
    page.locator("select[name=clientEnv]").select_option("sandbox")
    page.get_by_role("button", name="Filter").click()
    expect(page.locator(".chip")).to_have_count(2)
    assert "tag=vip" in page.url and "minScore" not in page.url
    expect(page.locator("#table tbody tr")).to_have_count(1)
    page.locator("summary", has_text="Save view").click()
    page.locator("input[name=view]").fill("Very important")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator(".tabs [aria-current]")).to_have_text("Very important")
    page.locator(".chip", has_text="vip").click()
    expect(page.locator(".chip")).to_have_count(1)
    page.keyboard.press("/")
    page.keyboard.type("electric")
    page.keyboard.press("Enter")
    expect(page.locator("#table mark").first).to_have_text(re.compile("electric", re.IGNORECASE), timeout=QUICK)
    page.get_by_role("link", name="Duration").click()
    expect(page.locator("th[aria-sort=descending]")).to_contain_text("Duration")
    page.get_by_text("Columns", exact=True).click()
    page.get_by_label("Conversation", exact=True).check()
    page.get_by_role("button", name="Show these columns").click()
    expect(page.locator("#table thead")).to_contain_text("Conversation")
    page.get_by_text("Export", exact=True).click()
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV").click()
    assert b"electric" in download.value.path().read_bytes()
    page.keyboard.press("Escape")
    page.get_by_role("link", name="Very important").click()
    page.once("dialog", lambda dialog: dialog.accept())
    page.locator("summary", has_text="Save view").click()
    page.get_by_role("button", name="Remove the view").click()
    expect(page.locator(".tabs")).not_to_contain_text("Very important")


def test_what_goes_on_appears_and_goes_without_a_reload(page: Page, server: Server) -> None:
    page.goto(f"{server.address}{AGENT}/conversations")
    page.evaluate("window.same = true")
    id = talk(server, callerNumber="+441632960777")
    row = page.locator("#live tr", has_text="+441632960777")
    expect(row).to_be_visible(timeout=QUICK)
    expect(page.locator("#table tbody")).to_contain_text("+441632960777")
    talk_path = f"/v1/agents/bike-workshop/debug-chat/{id}"
    ask(server, talk_path, {"clientEnv": "sandbox", "message": "no thanks, that's all"})
    expect(row).to_have_count(0, timeout=QUICK)
    expect(page.locator("#table tbody")).to_contain_text("+441632960777")
    assert page.evaluate("window.same") is True


def test_a_conversation_that_goes_on_is_followed(page: Page, server: Server) -> None:
    id = talk(server)
    page.goto(f"{server.address}{AGENT}/conversations/{id}")
    expect(page.locator(".turn")).to_have_count(1)
    path = f"/v1/agents/bike-workshop/debug-chat/{id}"
    ask(server, path, {"clientEnv": "sandbox", "message": "When are you open?"})
    expect(page.locator("#turn-1")).to_contain_text("Monday to Friday", timeout=QUICK)
    ask(server, path, {"clientEnv": "sandbox", "message": "no thanks, that's all"})
    expect(page.locator("#transcript")).to_contain_text("Ended: hangup", timeout=QUICK)
    expect(page.locator(".turn")).to_have_count(3)


def test_the_list_is_walked_from_the_keyboard(page: Page, server: Server) -> None:
    talk(server, "When are you open?", "no thanks, that's all")
    page.goto(f"{server.address}{AGENT}/conversations?inProgress=false")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    expect(page.locator("tr.chosen")).to_have_count(1)
    page.keyboard.press("Enter")
    expect(page.locator("#transcript")).to_be_visible()


# 4. Review.


def test_a_call_is_heard_turn_by_turn(page: Page, server: Server) -> None:
    page.goto(f"{server.address}{AGENT}/conversations/{a_call(server)}")
    expect(page.locator("#waveform")).to_be_visible(timeout=QUICK)
    regions = page.evaluate(
        "document.querySelector('#waveform > div').shadowRoot.querySelectorAll('[part~=region]').length"
    )
    assert regions == page.locator(".turn [data-play]:visible").count() >= 5
    page.locator("#turn-2 .bubble.user").click()
    expect(page.locator("#turn-2")).to_have_class(re.compile("playing"), timeout=QUICK)
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    at = page.locator("#clock").inner_text()
    assert at != "0:00 / 0:50" and at.endswith(page.locator("#clock").inner_text().split(" / ")[1])
    page.keyboard.press("Space")
    expect(page.locator("#play")).to_contain_text("Play")
    expect(page.locator(".turn.playing")).to_have_count(0)
    page.locator("#speed").select_option("2")
    page.keyboard.press("Escape")


def test_a_conversation_is_judged_from_the_keyboard(page: Page, server: Server) -> None:
    id = talk(
        server,
        "Do you work on electric bikes?",
        "My name is Sam Field, and the dog is called Rex",
        "no thanks, that's all",
    )
    page.goto(f"{server.address}{AGENT}/conversations/{id}")
    page.keyboard.press("j")
    page.keyboard.press("j")
    expect(page.locator("#turn-1")).to_have_class(re.compile("chosen"))
    page.keyboard.press("1")
    expect(page.locator("#turn-1 .mark-chip")).to_have_text(re.compile("Good response"), timeout=QUICK)
    expect(page.locator("#turn-1")).to_have_class(re.compile("chosen"))
    page.keyboard.press("4")
    expect(page.locator("#turn-1 .mark-chip")).to_have_count(2, timeout=QUICK)
    page.keyboard.press("m")
    page.get_by_label("Bad response").check()
    page.get_by_label("too long").check()
    page.get_by_label("Comment").fill("says it twice")
    page.locator("#mark-form").get_by_role("button", name="Mark").click()
    expect(page.locator("#turn-1")).to_contain_text("Bad response: too long – says it twice", timeout=QUICK)
    page.locator("#turn-1 .mark-chip", has_text="Good response").get_by_role("button").click()
    expect(page.locator("#turn-1 .mark-chip")).to_have_count(2, timeout=QUICK)
    page.keyboard.press("n")
    page.keyboard.type("ask again")
    page.get_by_role("button", name="Save note").click()
    expect(page.locator("#said")).to_contain_text("Saved.", timeout=QUICK)
    page.get_by_label("Tags, with commas between them").fill("dog, bike")
    with page.expect_response(lambda answer: answer.request.method == "POST"):  # the note has said "Saved." before
        page.get_by_role("button", name="Save tags").click()
    expect(page.locator("#said")).to_contain_text("Saved.", timeout=QUICK)
    found = ask(server, f"/v1/agents/bike-workshop/conversations/{id}")
    assert (found["note"], found["tags"]) == ("ask again", ["dog", "bike"])
    marks = {m["annotationType"] for m in found["turns"][1]["reviews"]}
    assert marks == {"wrong_transcript", "bad_response"}
    page.locator("main").focus()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("next and previous turn")
    check_accessible(page)
    page.keyboard.press("Escape")
    page.locator("#turn-1").focus()
    page.keyboard.press("c")
    expect(page.locator("#toasts")).to_contain_text("Copied")
    page.goto(page.evaluate("navigator.clipboard.readText()"))
    expect(page.locator("#turn-1")).to_have_class(re.compile("chosen"))


def test_layers_are_switched_and_stay_so(page: Page, server: Server) -> None:
    one, other = (talk(server, "My back tyre is flat, can you do it on Thursday?") for _ in range(2))
    page.goto(f"{server.address}{AGENT}/conversations/{one}")
    variables, topics = page.locator("#turn-1 .layer-variables").first, page.locator("#turn-1 .layer-topics")
    expect(topics).to_be_visible()
    expect(variables).to_be_hidden()
    page.get_by_label("Variables").check()
    page.get_by_label("Topics").uncheck()
    expect(variables).to_be_visible()
    page.goto(f"{server.address}{AGENT}/conversations/{other}")
    expect(page.locator("#turn-1 .layer-variables").first).to_be_visible()
    expect(page.locator("#turn-1 .layer-topics")).to_be_hidden()


def test_a_mark_after_the_session_is_over_asks_to_sign_in_again(
    page: Page, context: BrowserContext, server: Server
) -> None:
    id = talk(server, "When are you open?")
    page.goto(f"{server.address}{AGENT}/conversations/{id}?turn=1")
    context.clear_cookies()
    page.keyboard.press("1")
    page.wait_for_url("**/console/sign-in?next=**")
    assert not ask(server, f"/v1/agents/bike-workshop/conversations/{id}")["turns"][1]["reviews"]


def test_words_are_hidden_by_hand_and_a_conversation_is_exported_and_erased(page: Page, server: Server) -> None:
    id = talk(server, "The dog barks like a thunderbolt at night")
    where = f"{server.address}{AGENT}/conversations/{id}"
    page.goto(where)
    page.locator("#turn-1 .words").first.evaluate("""(words) => {
      const text = words.firstChild, at = text.data.indexOf("thunderbolt"), range = document.createRange();
      range.setStart(text, at); range.setEnd(text, at + 11);
      getSelection().removeAllRanges(); getSelection().addRange(range);
    }""")
    page.get_by_role("button", name="Mark turn 1").click()
    expect(page.get_by_label("Hide as personal data")).to_have_value("thunderbolt")
    check_accessible(page)
    page.get_by_role("button", name="Hide", exact=True).click()
    expect(page.locator("#turn-1 .mark-chip")).to_contain_text("hidden by hand: thunderbolt", timeout=QUICK)
    page.get_by_role("button", name="Show redacted").click()
    expect(page.locator("#turn-1 .bubble.user")).to_contain_text("[HIDDEN]")
    expect(page.locator("main")).not_to_contain_text("thunderbolt")
    page.get_by_role("button", name="Show everything").click()
    expect(page.locator("#turn-1 .bubble.user")).to_contain_text("thunderbolt")
    page.get_by_text("More", exact=True).click()
    with page.expect_download() as download:
        page.get_by_role("link", name="Export as JSON").click()
    assert json.loads(download.value.path().read_text())["conversationId"] == id
    page.once("dialog", lambda dialog: dialog.dismiss())
    page.get_by_role("button", name="Erase for good").click()
    expect(page.locator("#turn-1")).to_be_visible()
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Erase for good").click()
    expect(page.locator("h1")).to_have_text("The conversation is erased")
    page.goto(where)
    expect(page.locator("main")).to_contain_text("It may have been erased")


# 5. Agent.


def test_an_agent_is_shown_as_the_server_sees_it(page: Page, server: Server) -> None:
    page.goto(f"{server.address}{AGENT}")
    graph = page.locator(".graph").first
    expect(graph.locator(".node")).to_have_count(5)
    expect(graph).to_contain_text("What and when")
    assert graph.locator("path.edge").count() >= 8
    page.get_by_label("A question").fill("do you fix e-bikes?")
    page.get_by_role("button", name="Look").click()
    expect(page.locator("#knowledge tbody tr").first).to_contain_text("topics/e_bikes.yaml")
    expect(page.locator("#knowledge tbody tr").first).to_contain_text("retrieved")
    for told in ("functions/start_booking.py:", "Old Town", "opening hours"):
        expect(page.locator("main")).to_contain_text(told)


def test_talk_tells_when_the_folder_changes(page: Page, server: Server) -> None:
    page.goto(f"{server.address}{AGENT}/talk")
    page.click("#begin")
    expect(page.locator("#trace .turn")).to_have_count(1, timeout=QUICK)
    rules = server.folder / "agent_settings" / "rules.txt"
    before = rules.read_text()
    try:
        rules.write_text(before + "Be brief indeed.\n")
        expect(page.locator("#version")).to_contain_text("start again to talk to it as it is now", timeout=QUICK)
        page.click("#begin")
        expect(page.locator("#version")).to_have_text("", timeout=QUICK)
    finally:
        rules.write_text(before)


def test_a_broken_folder_shows_its_faults_until_it_is_mended(page: Page, server: Server) -> None:
    broken = server.folder / "topics" / "broken.yaml"
    broken.write_text("name: broken\nenabled: true\ncontent: [unclosed\n")
    try:
        for _ in range(40):
            page.goto(f"{server.address}{AGENT}")
            if page.locator("#faults").count():
                break
            page.wait_for_timeout(250)
        expect(page.locator("#faults")).to_contain_text("topics/broken.yaml:")
        expect(page.locator("#faults")).to_contain_text("cannot be served")
        check_accessible(page)
        talk(server, "When are you open?")  # the last good version goes on
    finally:
        broken.unlink()
    for _ in range(40):
        page.goto(f"{server.address}{AGENT}")
        if not page.locator("#faults").count():
            break
        page.wait_for_timeout(250)
    expect(page.locator("#faults")).to_have_count(0)


# 6. Operations.


def test_an_operator_makes_a_key_and_takes_it_back(page: Page, server: Server) -> None:
    page.goto(f"{server.address}/console/operations")
    for told in ("Background work", "Audit log", "The database takes", "landlock"):
        expect(page.locator("main")).to_contain_text(told)
    make = page.get_by_text("Make a key", exact=True).first
    if not page.locator("form[action$='/keys']").is_visible():
        make.click()
    page.locator("form[action$='/keys'] input[name=name]").fill("visitor")
    page.get_by_role("button", name="Make a key").click()
    text = page.locator(".notice code").inner_text()
    assert ask(server, "/v1/agents/bike-workshop/conversations", key=text)["count"] >= 0
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Revoke the key visitor").click()
    expect(page.locator("#keys")).to_contain_text("revoked")
