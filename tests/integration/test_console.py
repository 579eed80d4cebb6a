"""The console without a browser: who is let in, what is shown to whom, and that nothing that is shown can do anything."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from tests.integration.test_access import AGENT, MODEL, SECRETS, VALUES, key, personal
from tests.integration.test_turns import function
from tests.support.console import TOKEN, Visitor, stranger, visitor
from tests.support.http import Api, api
from tests.support.talk import run, script, write
from vivavoce.console import assets
from vivavoce.console.app import PAGES
from vivavoce.console.visit import Page
from vivavoce.domain.principal import EVERY_PERMISSION
from vivavoce.service.deployments import FolderRefused
from vivavoce.service.sessions import LIFETIME

ONE = "/console/agents/tiny/conversations/one"


def console(tmp_path: Path, check: Callable[[Api], Awaitable[None]], *, agent: dict[str, str] = AGENT) -> None:
    async def go() -> None:
        async with api(write(tmp_path / "agent", agent), script(MODEL)) as found:
            await check(found)

    run(go())


def path_of(page: Page, **others: str) -> str:
    values = {**VALUES, "hash": assets.HASH, "name:path": "console.css", **others}
    return re.sub(r"{([\w:]+)}", lambda m: values[m[1]], page.path)


# Signing in.


def test_nothing_is_shown_to_who_is_not_signed_in(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        await http.open(conversationId="one")
        async with stranger(http) as nobody:
            for page in PAGES:
                path = path_of(page)
                if page.authentication == "none":
                    continue
                if page.method == "GET":
                    status, body, headers = await nobody.get(path, redirects=False)
                    assert status == 303 and headers["Location"].startswith("/console/sign-in"), path
                    assert (await nobody.get(path, headers={"Accept": "application/json"}))[0] == 401
                    part = await nobody.get(path, headers={"HX-Request": "true"})
                    assert part[0] == 204 and part[2]["HX-Redirect"].startswith("/console/sign-in")
                else:
                    status, body, _ = await nobody.post(path, csrf="x")
                    assert status == 403 or "<h1>Sign in</h1>" in body, path
                assert "one" not in body.split('"')

    console(tmp_path, check)


def test_a_key_signs_in_and_a_wrong_one_is_told_so(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        async with stranger(http) as somebody:
            _, page, _ = await somebody.get("/console/agents/tiny/talk")
            assert 'name="next" value="/console/agents/tiny/talk"' in page
            token = TOKEN.search(page)
            assert token is not None
            status, body, _ = await somebody.post(
                "/console/sign-in", {"key": "vv_wrong", "next": "/console"}, csrf=token[1]
            )
            assert status == 401 and "not valid here" in body and "vv_wrong" not in body
            status, body, _ = await somebody.post("/console/sign-in", {"key": "", "next": ""}, csrf=token[1])
            assert status == 401 and "Enter an API key" in body
            async with somebody.session.post(
                http.url + "/console/sign-in",
                data={"csrf": token[1], "key": "test-key", "next": "/console/agents/tiny/talk"},
                allow_redirects=False,
            ) as reply:
                assert reply.status == 303 and reply.headers["Location"] == "/console/agents/tiny/talk"
                cookie = next(c for c in reply.headers.getall("Set-Cookie") if c.startswith("vivavoce_session"))
                assert "HttpOnly" in cookie and "SameSite=strict" in cookie and "Path=/console" in cookie
            assert (await somebody.get("/console"))[0] == 200

    console(tmp_path, check)


def test_signing_in_leads_nowhere_else(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        for elsewhere in (
            "https://evil.example/",
            "//evil.example",
            "/console\\@evil",
            "/consolevil",
            "javascript:alert(1)",
        ):
            async with stranger(http) as somebody:
                _, page, _ = await somebody.get("/console/sign-in")
                token = TOKEN.search(page)
                assert token is not None
                async with somebody.session.post(
                    http.url + "/console/sign-in",
                    data={"csrf": token[1], "key": "test-key", "next": elsewhere},
                    allow_redirects=False,
                ) as reply:
                    assert reply.headers["Location"] == "/console", elsewhere

    console(tmp_path, check)


def test_a_session_expires_ends_when_it_is_left_and_with_its_key(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        assert http.started is not None
        services = http.started.services
        async with await visitor(http) as one, await visitor(http) as other:
            name, cookie = one.session_cookie
            status, body, _ = await one.post("/console/sign-out")
            assert status == 200 and "Sign in" in body
            headers = {"Cookie": f"{name}={cookie}"}
            status, _, told = await one.get("/console", headers=headers, redirects=False)
            assert status == 303 and told["Set-Cookie"].startswith(f'{name}=""')  # a copy is worth nothing, and goes
            assert (await other.get("/console", redirects=False))[0] == 200
            clock = services.sessions._clock
            later = clock.now() + LIFETIME + timedelta(seconds=1)
            services.sessions._clock = type("Later", (), {"now": lambda self: later})()  # type: ignore[assignment]
            assert (await other.get("/console", redirects=False))[0] == 303
            services.sessions._clock = clock
        async with await visitor(http, await key(http, "read")) as guest:
            assert (await guest.get("/console", redirects=False))[0] == 200
            (made,) = (await http.call("GET", "/v1/keys"))[1]["keys"]
            await http.call("DELETE", f"/v1/keys/{made['id']}")
            assert (await guest.get("/console", redirects=False))[0] == 303

    console(tmp_path, check)


def test_a_form_from_elsewhere_does_nothing(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        await http.open(conversationId="one")
        async with await visitor(http) as me, await visitor(http) as other:
            note = {"note": "forged"}
            for token in ("", "x", await other.token()):
                status, body, _ = await me.post(f"{ONE}/note", note, csrf=token)
                assert status == 403 and "not of this session" in body
            for headers in (
                {"Origin": "https://evil.example"},
                {"Origin": "null"},
                {"Sec-Fetch-Site": "cross-site"},
                {"Sec-Fetch-Site": "same-site"},
            ):
                assert (await me.post(f"{ONE}/note", note, headers=headers))[0] == 403, headers
            for page in PAGES:
                if page.method == "POST":
                    assert (await me.post(path_of(page), {"key": "test-key"}, csrf="x"))[0] == 403, page.path
            assert (await http.call("GET", "/v1/agents/tiny/conversations/one"))[1]["note"] is None
            assert (await me.post(f"{ONE}/note", {"note": "mine"}))[0] == 200
            assert (await http.call("GET", "/v1/agents/tiny/conversations/one"))[1]["note"] == "mine"

    console(tmp_path, check)


# Rights.


def test_every_page_lets_in_the_keys_it_names_and_no_others(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        await http.open(conversationId="one")
        for permission in sorted(EVERY_PERMISSION):
            async with await visitor(http, await key(http, permission)) as me:
                for page in PAGES:
                    if page.permission is None:
                        continue
                    path = path_of(page)
                    status, body, _ = (
                        await me.get(path, headers={"Accept": "application/json"})
                        if page.method == "GET"
                        else await me.post(path, headers={"Accept": "application/json"})
                    )
                    if permission == page.permission:
                        refused = f"lacks the permission {permission!r}"
                        assert status != 401 and not (status == 403 and refused in body), (path, body)
                    else:
                        assert status == 403 and repr(page.permission) in body, (path, permission, status, body[:200])

    console(tmp_path, check)


def test_a_key_of_another_account_or_for_other_agents_sees_nothing(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        await http.open(conversationId="one")
        rival = await key(http, *EVERY_PERMISSION, account="rival")
        elsewhere = await key(http, *EVERY_PERMISSION, agents=["another"])
        for text in (rival, elsewhere):
            async with await visitor(http, text) as me:
                for page in PAGES:
                    if "{agentId}" not in page.path:
                        continue
                    path = path_of(page)
                    status, body, _ = await me.get(path) if page.method == "GET" else await me.post(path)
                    assert status in (400, 403, 404), (path, status)
                    assert "Hello" not in body
                for path in ("/console", "/console/operations"):
                    assert "tiny" not in (await me.get(path))[1]

    console(tmp_path, check)


READS = (
    "/console", "/console/agents/tiny", "/console/agents/tiny/conversations", "/console/agents/tiny/conversations?columns=metric:CALLER",
    "/console/agents/tiny/conversations?queryType=transcript&query=name", "/console/agents/tiny/live?state=x", ONE, f"{ONE}?turn=1",
    f"{ONE}/turns?from=0", f"{ONE}/turns/1/prompt", f"{ONE}/turns/2/prompt", f"{ONE}/export?format=json", "/console/operations",
    "/console/agents/tiny/talk?conversation=one", "/console/agents/tiny/export?format=csv", "/console/agents/tiny/export?format=vcon",
)  # fmt: skip


def test_without_the_right_nothing_personal_is_on_any_page(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        await personal(http)
        async with await visitor(http, await key(http, "read", "chat", "write")) as me:
            for path in READS:
                for headers in ({}, {"HX-Request": "true"}):
                    status, body, _ = await me.get(path, headers=headers)
                    assert status == 200 and not SECRETS.search(body), (path, SECRETS.findall(body))
            for path in (f"{ONE}/export?format=jsonl", "/console/agents/tiny/export?format=jsonl"):
                assert (await me.get(path))[0] == 403
            status, body, _ = await me.get("/console/agents/tiny/conversations?contact=07700900461")
            assert "pii" in body and "may not filter by contact" in body and "No such" not in body
            assert "REDACTED" in (await me.get("/console/agents/tiny/conversations"))[1]
            assert (await me.post(f"{ONE}/hide", {"turn": "1", "words": "Zuleika"}))[0] == 403
            again = await me.post(
                f"{ONE}/annotations", {"turn": "1", "type": "good_response"}, headers={"HX-Request": "true"}
            )
            assert again[0] == 200 and "[NAME]" in again[1] and not SECRETS.search(again[1])
        async with await visitor(http) as seer:
            assert SECRETS.search((await seer.get(ONE))[1]) and SECRETS.search((await seer.get(READS[2]))[1])
            await seer.post("/console/hiding", {"hide": "1", "next": ONE})
            for path in READS:
                status, body, _ = await seer.get(path)
                assert status == 200 and not SECRETS.search(body), (path, SECRETS.findall(body))
            assert "Personal data is hidden" in (await seer.get(ONE))[1]
            await seer.post("/console/hiding", {"hide": "0", "next": ONE})
            assert SECRETS.search((await seer.get(ONE))[1])

    console(tmp_path, check)


def test_who_may_chat_without_the_right_gets_whole_redacted_turns_and_no_deltas(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        async with await visitor(http, await key(http, "chat", "read")) as me:
            lines = await me.say("/console/agents/tiny/talk", {"environment": "sandbox"})
            assert [line["type"] for line in lines] == ["turn", "trace"]
            id = lines[0]["id"]
            lines = await me.say(f"/console/agents/tiny/talk/{id}", {"message": "my name is Zuleika Quorn."})
            assert [line["type"] for line in lines] == ["turn", "trace"]
            assert "[NAME]" in lines[0]["user"] and not SECRETS.search(json.dumps(lines))
        async with await visitor(http, await key(http, "chat")) as me:
            lines = await me.say("/console/agents/tiny/talk", {"environment": "sandbox"})
            lines = await me.say(f"/console/agents/tiny/talk/{lines[0]['id']}", {"message": "hello"})
            assert lines[0]["reply"] == "Go on." and lines[1]["html"] == ""  # may chat, and not read

    console(tmp_path, check)


# What is hostile until it is escaped.

XSS = '<img src=x onerror="alert(1)"></textarea></script>\'"{{7*7}}'
HOSTILE = {
    "agent_settings/rules.txt": f"Be brief. {XSS} {{{{fn:look_up}}}}",
    "topics/hostile.yaml": f"name: hostile\nenabled: true\nactions: {json.dumps(XSS)}\ncontent: {json.dumps(XSS)}\nexample_queries:\n  - {json.dumps('what is hostile ' + XSS)}\n",
    "functions/look_up.py": function(
        f"conv.log.info({XSS!r})\nconv.state.customer = {XSS!r}\nconv.write_metric('HOSTILE', {XSS!r})\nraise ValueError({XSS!r})",
        "look_up",
        ", who: str",
    ),
}  # fmt: skip


def _check_markup(body: str, page: str) -> None:
    """No script but the console's own files, no handler, no style, no image but the console's."""

    class Elements(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            given = dict(attrs)
            assert not any(name.startswith("on") or name in ("style", "srcdoc") for name in given), (page, tag, given)
            if tag in ("script", "img"):
                assert (given.get("src") or "").startswith("/console/assets/"), (page, tag, given)
            for name in ("href", "src", "action"):
                assert (given.get(name) or "/").startswith(("/", "#")), (page, tag, given)
            assert tag not in (
                "iframe",
                "object",
                "embed",
                "base",
                "style",
                "b" if tag == "b" and "onclick" in given else "",
            )

    Elements().feed(body)


def test_no_text_of_users_authors_or_functions_becomes_markup(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        await http.open(conversationId="one", callerNumber='+44<b onclick="x">', integrationAttributes={"x": XSS})
        await http.say("one", f"my name is {XSS.replace('.', '')}.")
        await http.say("one", f"my name is Eve. what is hostile {XSS}")
        path = "/v1/agents/tiny/conversations/one"
        await http.call("POST", f"{path}/note", {"note": XSS})
        await http.call("PUT", f"{path}/tags", {"tags": [XSS]})
        mark = {"turnId": 1, "role": "agent", "annotationType": "other", "text": XSS}
        await http.call("POST", f"{path}/annotation", {"annotations": [mark]}, headers={"X-PolyAI-Email": "<b>eve"})
        await http.call("POST", "/v1/keys", {"name": XSS, "permissions": ["read"]})
        async with await visitor(http) as me:
            await me.post("/console/agents/tiny/views", {"view": "<i>view", "query": f"tag={XSS}"})
            pages = [
                *READS[:-2], f"/console/agents/tiny?q={XSS}", f"/console/agents/tiny/conversations?tag={XSS}", f"/console/{XSS}",
                f"/console/agents/{XSS}/conversations", f"/console/sign-in?next={XSS}", f"/console/agents/tiny/talk?number={XSS}",
                f"/console/agents/tiny/conversations?sort={XSS}", f"/console/agents/tiny/conversations?queryType=transcript&query=hostile+{XSS}",
                "/console/agents/tiny/conversations?columns=metric:HOSTILE&columns=tags",
            ]  # fmt: skip
            for page in pages:
                for headers in ({}, {"HX-Request": "true"}):
                    status, body, sent = await me.get(page, headers=headers)
                    if "html" not in sent.get("Content-Type", ""):
                        continue
                    assert status < 500, (page, body[:300])
                    for bad in ("<img src=x", 'onclick="x"', "</textarea></script>", "<i>view", "<b>eve", "49}}"):
                        assert bad not in body, (page, bad, body[body.index(bad) - 200 : body.index(bad) + 50])
                    _check_markup(body, page)
                    csp = sent["Content-Security-Policy"]
                    assert "script-src 'self';" in csp and "default-src 'none'" in csp and "unsafe" not in csp
                    assert sent["Cache-Control"] == "no-store" and sent["X-Content-Type-Options"] == "nosniff"

    console(tmp_path, check, agent=HOSTILE)


# What is asked for and is not there.


def test_what_is_not_there_is_a_helpful_page(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        async with await visitor(http) as me:
            for path, told in (
                ("/console/agents/tiny/conversations/none", "erased"),
                ("/console/agents/none/conversations", "does not know this agent"),
                ("/console/agents/none", "does not know this agent"),
                ("/console/nowhere", "no page at this address"),
                ("/console/agents/tiny/conversations/none/turns/1/prompt", "erased"),
                ("/console/assets/0000/console.css", "load the page again"),
            ):
                status, body, _ = await me.get(path)
                assert status == 404 and told in body and 'href="/console"' in body, (path, body[:500])
            await http.open(conversationId="one")
            for path in (f"{ONE}?turn=x", f"{ONE}?from=-1", f"{ONE}/turns/x/prompt"):
                assert (await me.get(path))[0] == 400, path
            assert (await me.get(f"{ONE}?turn=99"))[0] == 200
            assert (await me.get(f"{ONE}/turns/99/prompt"))[0] == 404
            assert (await me.get("/console", redirects=False))[0] == 200
            status, body, _ = await me.post("/console", {})
            assert status == 405

    console(tmp_path, check)


def test_a_bad_filter_is_told_above_the_list_and_not_passed_over(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        await http.open(conversationId="one")
        async with await visitor(http) as me:
            base = "/console/agents/tiny/conversations"
            for query, told in (
                ("startTime=yesterday", "should be a time"), ("minScore=9", "from 1 to 5"), ("clientEnv=mars", "one of sandbox"),
                ("varient=x", "did you mean variantId"), ("sort=size", "sort is"), ("cursor=zzz", "cursor"),
                ("startTime=2026-02-01&endTime=2026-01-01&queryType=semantic&query=x", ""),
            ):  # fmt: skip
                status, body, _ = await me.get(f"{base}?{query}")
                assert status == 200 and told.replace("queryType", "query needs") in body, (query, body[:200])
            _, body, _ = await me.get(f"{base}?startTime=&minScore=&tag=&clientEnv=sandbox")  # an empty field is none
            assert ">1 conversation<" in body and "Environment: sandbox" in body

    console(tmp_path, check)


def test_a_broken_folder_shows_its_faults_and_the_last_good_version_goes_on(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        assert http.started is not None
        deployments = http.started.services.deployments
        (tmp_path / "agent" / "topics").mkdir(exist_ok=True)
        (tmp_path / "agent" / "topics" / "broken.yaml").write_text("name: [unclosed\n")
        try:
            await deployments.serve(tmp_path / "agent")
        except FolderRefused as error:
            deployments.refuse("tiny", error.message, error.faults)
        async with await visitor(http) as me:
            _, body, _ = await me.get("/console/agents/tiny")
            assert "topics/broken.yaml:" in body and "cannot be served" in body and "last good version" in body
            assert "look_up" in body
            assert "Show them" in (await me.get("/console"))[1]
            (tmp_path / "agent" / "topics" / "broken.yaml").unlink()
            await deployments.serve(tmp_path / "agent")
            assert "cannot be served" not in (await me.get("/console/agents/tiny"))[1]

    console(tmp_path, check)


# What is done at the console.


def test_a_reviewer_marks_notes_tags_hides_and_erases(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        await http.open(conversationId="one")
        await http.say("one", "I like swordfish, and your swordfish most")
        async with await visitor(http) as me:
            part = {"HX-Request": "true"}
            _, body, _ = await me.post(
                f"{ONE}/annotations",
                {"turn": "1", "type": "bad_response", "reasons": ["too_long", "hallucination"], "text": "no"},
                headers=part,
            )
            assert body.count("<article") == 1 and "Bad response: too long, hallucination – no" in body
            await me.post(f"{ONE}/annotations", {"turn": "1", "type": "wrong_transcript"}, headers=part)
            found = (await http.call("GET", "/v1/agents/tiny/conversations/one"))[1]
            marks = {(m["annotationType"], m["role"], m["turnId"]) for m in found["turns"][1]["reviews"]}
            assert marks == {("bad_response", "agent", 1), ("wrong_transcript", "user", 1)}
            first = found["turns"][1]["reviews"][0]["id"]
            _, body, _ = await me.post(f"{ONE}/annotations/remove", {"turn": "1", "id": first}, headers=part)
            assert "hallucination" not in body and "Wrong transcript" in body
            assert (await me.post(f"{ONE}/annotations", {"turn": "9", "type": "other"}))[0] == 400
            assert (await me.post(f"{ONE}/annotations", {"turn": "1", "type": "nonsense"}))[0] == 400
            status, body, _ = await me.post(f"{ONE}/tags", {"tags": "vip, , billing "}, headers=part)
            assert status == 200 and 'value="vip, billing"' in body and "Saved." in body
            # Without a script, the page comes back.
            status, body, _ = await me.post(f"{ONE}/note", {"note": "call back"})
            assert status == 200 and "call back" in body and "<html" in body
            assert "not in the turn" in (await me.post(f"{ONE}/hide", {"turn": "1", "words": "trout"}, headers=part))[1]
            status, body, _ = await me.post(f"{ONE}/hide", {"turn": "1", "words": "Swordfish"}, headers=part)
            assert status == 200 and "hidden by hand: swordfish" in body
            await me.post("/console/hiding", {"hide": "1", "next": ONE})
            _, body, _ = await me.get(ONE)
            await me.post("/console/hiding", {"hide": "0", "next": ONE})
            assert "swordfish" not in body and body.count("[HIDDEN]") >= 2
            async with await visitor(http, await key(http, "read")) as reader:
                assert "swordfish" not in (await reader.get(ONE))[1]
            status, body, _ = await me.post(f"{ONE}/show", {"turn": "1"}, headers=part)
            assert status == 200 and "hidden by hand" not in body
            assert "conversation.unredact" in [e["action"] for e in (await http.call("GET", "/v1/audit"))[1]["entries"]]
            async with await visitor(http, await key(http, "read")) as reader:
                assert "swordfish" in (await reader.get(ONE))[1]
            status, body, _ = await me.post(f"{ONE}/erase")
            assert status == 200 and "erased" in body
            assert (await me.get(ONE))[0] == 404
        assert "conversation.redact" in [e["action"] for e in (await http.call("GET", "/v1/audit"))[1]["entries"]]

    console(tmp_path, check)


def test_what_is_hidden_by_hand_stays_hidden_under_other_rules(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        assert http.started is not None
        await http.open(conversationId="one")
        await http.say("one", "the password is swordfish")
        async with await visitor(http) as me:
            await me.post(f"{ONE}/hide", {"turn": "1", "words": "swordfish"})
        patterns = [{"pattern": "blue", "category": "colour"}]
        status, body, _ = await http.call("PUT", "/v1/agents/tiny/redaction", {"patterns": patterns})
        assert status in (200, 202), body
        await http.started.work.run_due()
        reader = await key(http, "read")
        assert "swordfish" not in json.dumps(
            (await http.call("GET", "/v1/agents/tiny/conversations/one", key=reader))[1]
        )
        taken = [{"pattern": "x", "category": "hidden"}]
        assert (await http.call("PUT", "/v1/agents/tiny/redaction", {"patterns": taken}))[0] == 400

    console(tmp_path, check)


def test_a_view_is_saved_for_its_key_and_taken_away_again(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        base = "/console/agents/tiny"
        async with await visitor(http) as me, await visitor(http, await key(http, "read")) as other:
            status, body, _ = await me.post(
                f"{base}/views", {"view": "Handed off", "query": "?handoff=true&columns=id"}
            )
            assert status == 200 and "Handed off: yes" not in body.replace("Handed off: yes", "", 1)
            assert f'href="{base}/conversations?handoff=true&amp;columns=id" aria-current="page"' in body
            assert "Handed off" not in re.sub(
                r"<form.*?</form>", "", (await other.get(f"{base}/conversations"))[1], flags=re.S
            )
            for name in ("", "x" * 26, "a\0b"):
                assert (await me.post(f"{base}/views", {"view": name, "query": "tag=x"}))[0] == 400
            assert (await other.post(f"{base}/views/remove", {"name": "Handed off"}))[0] == 404
            assert (await me.post(f"{base}/views/remove", {"name": "Handed off"}))[0] == 200
            assert "columns=id" not in (await me.get(f"{base}/conversations"))[1]

    console(tmp_path, check)


def test_a_list_is_filtered_sorted_paged_searched_and_exported(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        assert http.started is not None
        for n in range(53):
            await http.open(conversationId=f"c{n}", callerNumber=f"+4477009{n:05d}")
        await http.say("c7", "the pelican brief")
        await http.call("POST", "/v1/agents/tiny/conversations/c7/note", {"note": "x"})
        await http.call("PUT", "/v1/agents/tiny/conversations/c7/tags", {"tags": ["vip"]})
        chats = http.started.services.chats
        from vivavoce.service.keys import OPERATOR

        for n in range(53):
            await chats.end(OPERATOR, "tiny", f"c{n}")
        await http.started.work.run_due()
        base = "/console/agents/tiny/conversations"
        async with await visitor(http) as me:
            _, body, _ = await me.get(base)
            assert body.count('class="row-link"') == 50 and ">53 conversations<" in body and "+447700900052" in body
            more = re.search(r'rel="next" href="([^"]+)"', body)
            assert more is not None
            _, body, _ = await me.get(more[1].replace("&amp;", "&"))
            assert body.count('class="row-link"') == 3 and 'rel="next"' not in body and ">First<" in body
            _, body, _ = await me.get(f"{base}?tag=vip")
            assert body.count('class="row-link"') == 1 and "Tag: vip" in body
            _, body, _ = await me.get(f"{base}?queryType=transcript&query=pelican")
            assert body.count('class="row-link"') == 1 and "<mark>pelican</mark>" in body and "c7?turn=1" in body
            _, body, _ = await me.get(f"{base}?sort=-duration&columns=duration&columns=id")
            assert (
                'aria-sort="descending"' in body
                and "c7</code>" in body
                and "Summary" not in re.findall("<thead>.*?</thead>", body, re.S)[0]
            )
            _, body, headers = await me.get("/console/agents/tiny/export?format=csv&tag=vip")
            assert body.count("\n") == 2 and "c7" in body and "attachment" in headers["Content-Disposition"]
            assert (await me.get("/console/agents/tiny/export?format=jsonl"))[1].count("\n") == 54  # and a signature
            assert (await me.get("/console/agents/tiny/export?format=exe"))[0] == 400
            _, body, _ = await me.get(f"{base}?scope=voice")
            assert "Nothing matches these filters" in body

    console(tmp_path, check)


def test_what_goes_on_is_on_top_and_asked_for_again_without_being_told_twice(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        async with await visitor(http) as me:
            _, page, _ = await me.get("/console/agents/tiny/conversations")
            assert "in progress" not in page and "There are no conversations yet" in page
            state = re.search(r"live\?state=(\w+)", page)
            assert state is not None
            live = f"/console/agents/tiny/live?state={state[1]}"
            assert (await me.get(live))[0] == 204
            await http.open(conversationId="one")
            status, body, headers = await me.get(live)
            assert status == 200 and "1 in progress" in body and headers["HX-Trigger"] == "conversations-changed"
            state = re.search(r"live\?state=(\w+)", body)
            assert state is not None
            before = len((await http.call("GET", "/v1/audit?limit=1000"))[1]["entries"])
            for _ in range(3):
                assert (await me.get(f"/console/agents/tiny/live?state={state[1]}"))[0] == 204
                assert (await me.get(f"{ONE}/turns?from=1"))[0] == 204
            assert len((await http.call("GET", "/v1/audit?limit=1000"))[1]["entries"]) == before  # nothing was shown
            await http.say("one", "hello")
            assert (await me.get(f"/console/agents/tiny/live?state={state[1]}"))[0] == 200
            status, body, _ = await me.get(f"{ONE}/turns?from=1", headers={"HX-Request": "true"})
            assert status == 200 and body.count("<article") == 1 and "turns?from=2" in body

    console(tmp_path, check)


def test_talk_tells_what_is_done_while_it_is_done_and_takes_a_message_once(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        async with await visitor(http) as me:
            talk = "/console/agents/tiny/talk"
            lines = await me.say(
                talk, {"environment": "sandbox", "attributes": '{"plan": "gold"}', "number": "+447700900461"}
            )
            id = next(line["id"] for line in lines if line["type"] == "turn")
            said = {"message": "my name is Eve.", "message_id": "m1"}
            lines = await me.say(f"{talk}/{id}", said)
            kinds = [line["type"] for line in lines]
            assert (
                kinds.index("call")
                < kinds.index("called")
                < kinds.index("text")
                < kinds.index("turn")
                < kinds.index("trace")
            )
            html = lines[-1]["html"]
            assert (
                'id="turn-1"' in html and "functions/look_up.py:" in html and "balance" in html and "<html" not in html
            )
            again = await me.say(f"{talk}/{id}", said)
            assert [line["type"] for line in again] == ["turn", "trace"] and again[0]["reply"] == lines[
                kinds.index("turn")
            ]["reply"]
            assert (await http.call("GET", f"/v1/agents/tiny/conversations/{id}"))[1]["turns"][-1]["turn_index"] == 1
            silent = await me.say(f"{talk}/{id}", {"message": "", "message_id": "m2"})
            keys = await me.say(f"{talk}/{id}", {"message": "", "keys": "12#", "message_id": "m3"})
            assert {line["index"] for line in silent + keys if line["type"] == "turn"} == {2, 3}
            status, body, _ = await me.get(f"{talk}?conversation={id}")
            assert status == 200 and body.count("<article") == 4
            for fields in ({"attributes": "{"}, {"attributes": "[1]"}, {"channel": "pigeon"}, {"variant": "none"}):
                status, body, _ = await me.post(
                    talk, {"environment": "sandbox", **fields}, headers={"Accept": "application/json"}
                )
                assert status == 400 and json.loads(body)["error"], fields
            assert (await me.post(f"{talk}/{id}/end"))[0] == 204
            status, body, _ = await me.post(f"{talk}/{id}", {"message": "x"}, headers={"Accept": "application/json"})
            assert status == 410

    console(tmp_path, check)


def test_figures_count_what_has_ended_once(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        assert http.started is not None
        from vivavoce.service.keys import OPERATOR

        services = http.started.services
        await http.open(conversationId="one")
        await http.say("one", "my name is Eve.")
        await http.open(conversationId="two")
        await services.chats.end(OPERATOR, "tiny", "one")
        await http.started.work.run_due()
        overview = await services.statistics.overview(OPERATOR, "tiny", 7)
        assert (overview.today, overview.live, overview.total.conversations, overview.total.turns) == (2, 1, 1, 1)
        assert overview.total.containment == 1.0 and overview.total.p95 and len(overview.days) == 7
        inside = await services.statistics.inside(OPERATOR, "tiny", 7)
        assert inside.functions["functions.look_up"].calls == 1 and inside.functions["functions.look_up"].failed == 0
        # Looked at again, erased, and started again: counted once, and still.
        await http.call("POST", "/v1/agents/tiny/redaction/run")
        await http.started.work.run_due()
        await services.statistics.begin_catching_up()
        await http.started.work.run_due()
        await http.call("DELETE", "/v1/agents/tiny/conversations/one")
        overview = await services.statistics.overview(OPERATOR, "tiny", 7)
        assert (overview.today, overview.total.conversations) == (1, 1)
        async with await visitor(http) as me:
            _, body, _ = await me.get("/console")
            assert "Conversations a day" in body and "100 %" in body

    console(tmp_path, check)


def test_what_ended_before_there_were_counts_is_counted_later(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        assert http.started is not None
        from vivavoce.service.keys import OPERATOR

        services, store = http.started.services, http.started.store
        for n in range(3):
            await http.open(conversationId=f"c{n}")
            await services.chats.end(OPERATOR, "tiny", f"c{n}")
        await http.started.work.run_due()
        for kept in store._conversations.values():  # type: ignore[attr-defined]  # the store in memory
            kept.is_tallied = False
        store._tallies.clear()  # type: ignore[attr-defined]
        await services.statistics.begin_catching_up()
        await http.started.work.run_due()
        assert (await services.statistics.overview(OPERATOR, "tiny", 7)).total.conversations == 3

    console(tmp_path, check)


def test_the_search_box_shows_what_a_turn_would_retrieve_and_why(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        async with await visitor(http) as me:
            _, body, _ = await me.get("/console/agents/tiny?q=what+is+hostile")
            assert "retrieved" in body and "shares “hostile”" in body and "topics/hostile.yaml" in body
            _, body, _ = await me.get("/console/agents/tiny?q=zebra")
            assert "Nothing in the topics bears on it" in body
            assert (await me.get("/console/agents/tiny?q=" + "x" * 1001))[0] == 400

    console(tmp_path, check, agent=HOSTILE)


def test_versions_are_published_promoted_and_taken_back_at_the_console(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        path = "/console/operations"

        async def does(what: str, version: str = "", target: str = "") -> int:
            fields = {"agent": "tiny", "what": what, "version": version, "target": target}
            return int((await me.post(f"{path}/versions", fields))[0])

        async with await visitor(http) as me:
            assert ">Publish</button>" in (await me.get(path))[1]
            assert await does("publish") == 200
            body = (await me.get(f"{path}?saved=versions"))[1]
            assert (
                ">Publish</button>" not in body
                and ">Promote</button>" in body
                and "new conversations begin on it" in body
            )
            assert await does("promote", "sandbox", "pre-release") == 200
            assert await does("promote", "pre-release", "live") == 200
            _, found, _ = await http.call("GET", "/v1/agents/tiny/deployments/active")
            assert set(found["activeDeployments"]) == {"sandbox", "pre-release", "live"}
            assert ">Promote</button>" not in (await me.get(path))[1]
            assert await does("publish") == 409 and await does("nothing") == 400 and await does("back", "none") == 404
        async with await visitor(http, await key(http, "read")) as guest:
            body = (await guest.get(path))[1]
            assert "Versions" in body and ">Publish</button>" not in body
            fields = {"agent": "tiny", "what": "publish", "version": "", "target": ""}
            assert (await guest.post(f"{path}/versions", fields))[0] == 403

    console(tmp_path, check)


def test_keys_are_made_shown_once_and_revoked_at_the_console(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        path = "/console/operations"
        async with await visitor(http) as me:
            status, body, _ = await me.post(
                f"{path}/keys", {"name": "ci", "permissions": ["read", "chat"], "agents": "tiny"}
            )
            made = re.search(r"<code>(vv_[\w-]+)</code>", body)
            assert status == 201 and made is not None
            assert (await http.call("GET", "/v1/agents/tiny/conversations", key=made[1]))[0] == 200
            _, body, _ = await me.get(path)
            assert made[1] not in body and "ci" in body
            id = re.search(r'name="id" value="([^"]+)"', body)
            assert id is not None
            assert (await me.post(f"{path}/keys/revoke", {"id": id[1]}))[0] == 200
            assert (await http.call("GET", "/v1/agents/tiny/conversations", key=made[1]))[0] == 401
            for fields in ({"name": ""}, {"name": "x"}, {"name": "x", "permissions": ["read"], "expires": "soon"}):
                assert (await me.post(f"{path}/keys", fields))[0] == 400
            assert (
                await me.post(
                    f"{path}/retention", {"agent": "tiny", "conversations": "90", "details": "", "memory": ""}
                )
            )[0] == 200
            assert 'name="conversations" placeholder="for ever" value="90"' in (await me.get(path))[1]
            assert (await me.post(f"{path}/retention", {"agent": "tiny", "conversations": "x"}))[0] == 400
        async with await visitor(http, await key(http, "admin", "read")) as guest:  # of one account
            _, body, _ = await guest.get(path)
            assert "Background work" not in body and "The database takes" not in body and "Audit log" in body
            assert (await guest.post(f"{path}/keys", {"name": "x", "permissions": ["pii"]}))[0] == 403

    console(tmp_path, check)


def test_assets_are_kept_for_good_and_come_packed(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        async with stranger(http) as nobody:
            for name in assets.ASSETS:
                async with nobody.session.get(
                    http.url + assets.url(name), headers={"Accept-Encoding": "gzip"}, auto_decompress=False
                ) as reply:
                    assert reply.status == 200 and "immutable" in reply.headers["Cache-Control"]
                    assert reply.headers["Content-Encoding"] == "gzip" and reply.headers["Vary"] == "Accept-Encoding"
            status, body, headers = await nobody.get(assets.url("console.css"), headers={"Accept-Encoding": "identity"})
            assert (
                status == 200
                and "Content-Encoding" not in headers
                and body.encode() == assets.ASSETS["console.css"].body
            )
            for path in ("../app.py", "..%2fapp.py", "vendor/../../app.py", "vendor/README.md"):
                status, body, _ = await nobody.get(f"/console/assets/{assets.HASH}/{path}", redirects=False)
                assert status in (303, 404) and "import" not in body

    console(tmp_path, check)


def test_old_addresses_lead_to_the_console(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        async with stranger(http) as nobody:
            assert (await nobody.get("/", redirects=False))[2]["Location"] == "/console"
            assert (await nobody.get("/call", redirects=False))[2]["Location"] == "/console/call"
        async with await visitor(http) as me:
            assert (await me.get("/console/call", redirects=False))[2][
                "Location"
            ] == "/console/agents/tiny/talk?mode=call"
            status, body, _ = await me.get("/console/agents/tiny/talk?mode=call")
            assert status == 200 and "Press Call" in body

    console(tmp_path, check)


def test_many_look_at_once_and_a_page_that_fails_costs_no_other(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        assert http.started is not None
        await http.open(conversationId="one")
        async with await visitor(http) as me:
            views = http.started.services.views

            async def broken(*_: Any) -> Any:
                raise RuntimeError("secret detail")

            whole, views.list = views.list, broken  # type: ignore[method-assign]
            status, body, _ = await me.get("/console/agents/tiny/conversations")
            views.list = whole  # type: ignore[method-assign]
            assert status == 500 and "secret detail" not in body and "Something went wrong" in body

            async def look(visitor: Visitor, path: str) -> int:
                return (await visitor.get(path))[0]

            found = await asyncio.gather(*(look(me, path) for path in READS[:9] * 8))
            assert set(found) == {200}

    console(tmp_path, check)


# What attackers and careful readers have found.

NAMED = {
    **AGENT,
    "functions/look_up.py": function(
        "conv.state.name = 'Zuleika Quorn'\nconv.state.reference = '07700 900461'\nconv.state.account_number = 55512345\n"
        "conv.log.info('looked up')\nconv.write_metric('VALUE', who)\nreturn 'Found ' + who",
        "look_up",
        ", who: str",
    ),
}  # fmt: skip


def test_variables_are_hidden_whatever_authors_call_them(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        await http.open(conversationId="one", callerNumber="+447700900461")
        await http.say("one", "my name is Zuleika Quorn.")
        async with await visitor(http, await key(http, "read")) as me:
            _, body, _ = await me.get(ONE)
            assert not SECRETS.search(body) and "55512345" not in body and "reference" in body

    console(tmp_path, check, agent=NAMED)


def test_whoever_is_called_like_a_field_of_a_record_breaks_no_page(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        reader = await key(http, "read", "chat")
        async with await visitor(http, reader) as me:
            for name in ("Value", "Added", "Name", "Level", "Content", "Updated", "Removed"):
                id = (await http.open())["conversationId"]
                lines = await me.say(f"/console/agents/tiny/talk/{id}", {"message": f"my name is {name}."})
                assert lines[-1]["type"] == "trace" and lines[-1]["html"]
                path = f"/console/agents/tiny/conversations/{id}"
                for page in (path, f"{path}/turns?from=0", f"{path}/turns/1/prompt"):
                    assert (await me.get(page))[0] == 200, (name, page)
                found = (await http.call("GET", f"/v1/agents/tiny/conversations/{id}", key=reader))[1]
                (event,) = found["functionEvents"]["2"]
                assert set(event["state_changes"]) == {"added", "updated", "removed"} and set(event["metrics"][0]) == {
                    "name",
                    "value",
                }

    console(tmp_path, check, agent=NAMED)


def test_a_cookie_that_is_worth_nothing_does_not_keep_anybody_out(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        async with await visitor(http) as me:
            me.session.cookie_jar.update_cookies({me.session_cookie[0]: "stale"})
            _, page, headers = await me.get("/console/sign-in")
            token = TOKEN.search(page)
            assert token is not None
            status, body, _ = await me.post("/console/sign-in", {"key": "test-key", "next": ""}, csrf=token[1])
            assert status == 200 and "<h1>Home</h1>" in body
            name, before = me.session_cookie
            _, page, _ = await me.get("/console/sign-in")
            token = TOKEN.search(page)
            assert token is not None
            await me.post(
                "/console/sign-in", {"key": "test-key", "next": ""}, csrf=token[1]
            )  # once more, while signed in
        async with stranger(http) as other:
            headers = {"Cookie": f"{name}={before}"}
            assert (await other.get("/console", headers=headers, redirects=False))[0] == 303

    console(tmp_path, check)


def test_a_link_from_elsewhere_signs_nobody_out(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        async with stranger(http) as without:
            _, _, headers = await without.get("/console/agents/tiny", redirects=False)
            assert "vivavoce_session" not in headers.get("Set-Cookie", "")

    console(tmp_path, check)


def test_signing_in_again_leads_to_the_page_and_not_to_a_part_of_it(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        async with stranger(http) as nobody:
            here = f"{http.url}/console/agents/tiny/conversations?tag=x"
            headers = {"HX-Request": "true", "HX-Current-URL": here}
            _, _, sent = await nobody.get("/console/agents/tiny/live?state=x", headers=headers)
            assert sent["HX-Redirect"].endswith("next=%2Fconsole%2Fagents%2Ftiny%2Fconversations%3Ftag%3Dx")
            async with nobody.session.post(
                f"{http.url}{ONE}/note",
                data={"note": "x"},
                headers={"Referer": f"{http.url}{ONE}"},
                allow_redirects=False,
            ) as reply:
                assert reply.headers["Location"].endswith("next=%2Fconsole%2Fagents%2Ftiny%2Fconversations%2Fone")
            for bad in ("http://[", "::::", "http://evil.example/console\\@x", "x" * 9000):
                headers = {"HX-Request": "true", "HX-Current-URL": bad}
                status, _, sent = await nobody.get("/console/agents/tiny/live", headers=headers)
                assert status == 204 and "evil" not in sent["HX-Redirect"]

    console(tmp_path, check)


def test_forms_come_through_a_proxy_and_odd_ones_are_told(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        await http.open(conversationId="one")
        async with await visitor(http) as me:
            note = {"note": "x"}
            assert (await me.post(f"{ONE}/note", note, headers={"Origin": "https://voice.example.org"}))[0] == 200
            for origin in ("http://[", "http://[::1", "https://voice.example.org.evil"):
                assert (await me.post(f"{ONE}/note", note, headers={"Origin": origin}))[0] == 403, origin
            many = {f"f{n}": "x" for n in range(300)}
            assert (await me.post(f"{ONE}/note", many))[0] == 400
            pairs = "&".join(f"tag=t{n}" for n in range(300))
            assert (await me.post("/console/agents/tiny/views", {"view": "x", "query": pairs}))[0] == 400
            deep = '{"a":' * 50_000
            for attributes in (deep, '{"a":' + "[" * 900 + "]" * 900 + "}"):
                fields = {"environment": "sandbox", "attributes": attributes}
                status, _, _ = await me.post(
                    "/console/agents/tiny/talk", fields, headers={"Accept": "application/json"}
                )
                assert status == 400
            for number in ("9" * 1000, "12\0" + "3", "1\u202e2"):
                fields = {"environment": "sandbox", "number": number}
                status, _, _ = await me.post(
                    "/console/agents/tiny/talk", fields, headers={"Accept": "application/json"}
                )
                assert status == 400, number
            assert (await me.post("/console/operations/keys", {"name": "n" * 900, "permissions": ["read"]}))[0] == 400
            fields = {"name": "far", "permissions": ["read"], "expires": "9999-12-31T23:00:00Z"}
            assert (await me.post("/console/operations/keys", fields))[0] == 201
            assert (await me.get("/console/operations"))[0] == 200

    async def go() -> None:
        overrides = {"public_url": "https://voice.example.org", "time_zone": "Asia/Tokyo"}
        async with api(write(tmp_path / "agent", AGENT), script(MODEL), **overrides) as found:
            await check(found)

    run(go())


def test_a_filter_that_is_set_can_be_set_anew(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        await http.open(conversationId="one")
        async with await visitor(http) as me:
            base = "/console/agents/tiny/conversations"
            _, body, _ = await me.get(
                f"{base}?handoff=true&clientEnv=live&columns=id&scope=voice&query=x&queryType=transcript"
            )
            form = body[body.index('role="search"') : body.index('id="save-view"')]
            hidden = re.findall(r'<input type="hidden" name="(\w+)"', form)
            assert hidden == ["columns", "scope"]  # the others have fields of their own
            assert "Scope: voice" in body
            _, body, _ = await me.get(f"{base}?clientEnv=sandbox&clientEnv=draft")
            assert '<input type="hidden" name="clientEnv" value="draft">' in body
            _, body, _ = await me.get(f"{base}?scope=voice&channel=CHAT")  # a channel says more
            assert "Scope:" not in body and ">1 conversation<" in body

    console(tmp_path, check)


def test_a_turn_that_has_begun_ends_though_nobody_listens_any_more(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        await http.open(conversationId="one")
        async with await visitor(http) as me:
            form = {"csrf": await me.token(), "message": "my name is Eve.", "message_id": "m1"}
            path = f"{http.url}/console/agents/tiny/talk/one"
            async with me.session.post(path, data=form, headers={"Accept": "application/json"}) as reply:
                await reply.content.readline()  # it has begun; and now the line is gone
                reply.close()
            lines = await me.say("/console/agents/tiny/talk/one", {"message": "my name is Eve.", "message_id": "m1"})
            assert [line["type"] for line in lines] == ["turn", "trace"] and lines[0]["index"] == 1
        found = (await http.call("GET", "/v1/agents/tiny/conversations/one"))[1]
        assert len(found["turns"]) == 2 and len(found["functionEvents"]["2"]) == 1

    console(tmp_path, check)


def test_who_may_write_and_not_see_cannot_lose_what_others_wrote(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        await personal(http)
        async with await visitor(http, await key(http, "read", "write")) as me:
            _, body, _ = await me.get(ONE)
            note = re.search(r"<textarea[^>]*>(.*?)</textarea>", body, re.S)
            assert note is not None and note[1] == "" and "Another note in its place" in body and "[NAME]" in body
        async with await visitor(http, await key(http, "write")) as me:
            mark = {"turn": "1", "type": "good_response"}
            assert (await me.post(f"{ONE}/annotations", mark, headers={"HX-Request": "true"}))[0] == 204

    console(tmp_path, check)


def test_a_caller_who_is_forgotten_is_in_no_saved_view(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        await http.open(conversationId="one", callerNumber="+447700900461")
        async with await visitor(http) as me:
            for name, query in (("theirs", "contact=%2B44+7700+900461"), ("another", "contact=%2B441632960000")):
                await me.post("/console/agents/tiny/views", {"view": name, "query": query})
            status, _, _ = await http.call("POST", "/v1/agents/tiny/erasures", {"contact": "+447700900461"})
            assert status == 201
            _, body, _ = await me.get("/console/agents/tiny/conversations")
            assert ">another<" in body and ">theirs<" not in body

    console(tmp_path, check)


def test_a_search_by_meaning_is_not_exported_as_if_it_left_anything_out(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        async with await visitor(http) as me:
            status, body, _ = await me.get("/console/agents/tiny/export?queryType=semantic&query=x")
            assert status == 400 and "leaves none out" in body

    console(tmp_path, check)


def test_a_change_that_was_not_taken_is_told_without_faults_too(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        assert http.started is not None
        http.started.services.deployments.refuse("tiny", "Loading failed: OSError")
        async with await visitor(http) as me:
            for path in ("/console", "/console/agents/tiny"):
                assert "Loading failed: OSError" in (await me.get(path))[1]

    console(tmp_path, check)


def test_an_open_page_is_told_what_becomes_of_the_folder(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        assert http.started is not None
        deployments = http.started.services.deployments
        async with await visitor(http) as me:
            for path, told in (("/console/agents/tiny/talk", "start again"), ("/console/agents/tiny", "load again")):
                _, body, _ = await me.get(path)
                ask = re.search(r'hx-get="([^"]*version[^"]*)"', body)
                assert ask is not None
                asked, headers = ask[1].replace("&amp;", "&"), {"HX-Request": "true", "HX-Current-URL": http.url + path}
                assert (await me.get(asked, headers=headers))[0] == 204
                with (tmp_path / "agent" / "agent_settings" / "rules.txt").open("a") as rules:
                    rules.write("Be brief indeed.\n")
                await deployments.serve(tmp_path / "agent")
                status, body, _ = await me.get(asked, headers=headers)
                assert status == 200 and told in body
            deployments.refuse("tiny", "Loading failed: OSError")
            status, body, _ = await me.get(asked, headers=headers)
            assert status == 200 and "Loading failed: OSError" in body

    console(tmp_path, check)
