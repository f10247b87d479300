"""The mailbox's page and JSON, over HTTP and, for what only a browser can tell, in Chromium."""

from __future__ import annotations

import http.server
import re
import subprocess
import threading
from contextlib import contextmanager
from email.message import EmailMessage

import pytest
from browser import CHROMIUM


def _mail(html="<p>Hi</p>", text="Hi", subject="Hello", to="ann@example.com"):
    message = EmailMessage()
    message["From"] = "Push <push@example.com>"
    message["To"] = to
    message["Subject"] = subject
    message["Message-ID"] = "<1@example.com>"
    message.set_content(text)
    message.add_alternative(html, subtype="html")
    return message


def test_a_list_says_what_arrived(sandbox):
    source = _mail(subject="您的订单").as_bytes().replace(b"\n", b"\r\n")
    sandbox.send(source, to="ann@example.com")
    answer = sandbox.request("/api/mails").json()
    (item,) = answer["items"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", item["received_at"])
    assert {name: item[name] for name in item if name not in ("id", "received_at")} == {
        "mail_from": "push@example.com",
        "rcpt_to": ["ann@example.com"],
        "subject": "您的订单",
        "size": len(source),
        "message_id": "<1@example.com>",
    }
    assert answer["total_entries"] == 1


@pytest.mark.parametrize(
    ("query", "subjects"),
    [
        ("", ["two", "one"]),
        ("?to=ann", ["one"]),
        ("?subject=tw", ["two"]),
        ("?q=example.org", ["two"]),
        ("?limit=1", ["two"]),
        ("?limit=1&offset=1", ["one"]),
    ],
)
def test_the_list_is_filtered(sandbox, query, subjects):
    sandbox.send(b"Subject: one\r\n\r\n", to="ann@example.com")
    sandbox.send(b"Subject: two\r\n\r\n", to="bob@example.org")
    assert [item["subject"] for item in sandbox.request(f"/api/mails{query}").json()["items"]] == subjects


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=x", "offset=-1"])
def test_a_wrong_query_is_refused(sandbox, query):
    assert sandbox.request(f"/api/mails?{query}").status == 422


def test_nothing_new_is_304(sandbox):
    etag = sandbox.request("/api/mails").headers["ETag"]
    assert sandbox.request("/api/mails", headers={"If-None-Match": etag}).status == 304
    sandbox.send(b"Subject: new\r\n\r\n")
    assert sandbox.request("/api/mails", headers={"If-None-Match": etag}).status == 200


def test_a_mail_is_decoded(sandbox):
    message = _mail(html="<p>你好</p>", text="你好")
    message.add_attachment(b"\0\1", maintype="application", subtype="pdf", filename="发票 1.pdf")
    number = sandbox.send(message.as_bytes())
    mail = sandbox.request(f"/api/mails/{number}").json()
    assert (mail["text"].strip(), mail["html"].strip()) == ("你好", "<p>你好</p>")
    assert ["Subject", "Hello"] in mail["headers"]
    assert mail["attachments"] == [
        {"name": "发票 1.pdf", "content_type": "application/pdf", "size": 2, "content_id": None}
    ]
    file = sandbox.request(f"/api/mails/{number}/attachments/0")
    assert file.body == b"\0\1"
    assert file.headers["Content-Disposition"] == ("attachment; filename*=UTF-8''%E5%8F%91%E7%A5%A8%201.pdf")
    assert file.headers["Content-Type"] == "application/octet-stream"
    assert sandbox.request(f"/api/mails/{number}/source").headers["Content-Type"] == "message/rfc822"


@pytest.mark.parametrize(
    "path",
    ["no-such", "no-such/source", "no-such/html", "..%2Findex.jsonl/source", "..%2f..%2fetc%2fpasswd/source"],
)
def test_what_is_not_there_is_404(sandbox, path):
    assert sandbox.request(f"/api/mails/{path}").status == 404


@pytest.mark.parametrize("path", ["html", "attachments/0", "attachments/-1"])
def test_what_a_mail_does_not_have_is_404(sandbox, path):
    number = sandbox.send(b"Subject: plain\r\n\r\nplain\r\n")
    assert sandbox.request(f"/api/mails/{number}/{path}").status == 404


@pytest.mark.parametrize("path", ["/static/../mailbox.py", "/static/%2e%2e%2fmailbox.py", "/docs", "/openapi.json"])
def test_nothing_else_is_served(sandbox, path):
    assert sandbox.request(path).status == 404


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:{port}", 200),
        ("localhost:{port}", 200),
        ("LOCALHOST", 200),
        ("[::1]:{port}", 200),
        ("evil.example:{port}", 421),
        ("127.0.0.1.evil.example", 421),
        ("localhost.evil.example:{port}", 421),
        ("evil.example@127.0.0.2", 421),
        ("[", 421),
        ("", 421),
    ],
)
def test_only_loopback_names_are_answered(sandbox, host, status):
    for path in ("/", "/api/mails"):
        assert sandbox.request(path, headers={"Host": host.format(port=sandbox.http_port)}).status == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Origin": "http://127.0.0.1:{port}"}, 200),
        ({"Origin": "http://127.0.0.1:{port}", "Sec-Fetch-Site": "same-origin"}, 200),
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"Origin": "http://localhost:{port}"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "http://127.0.0.1:{port}", "Sec-Fetch-Site": "cross-site"}, 403),
    ],
)
def test_only_the_page_itself_and_scripts_may_delete(sandbox, headers, status):
    sandbox.send(b"Subject: x\r\n\r\n")
    sent = {name: value.format(port=sandbox.http_port) for name, value in headers.items()}
    assert sandbox.request("/api/mails", "DELETE", sent).status == status
    assert sandbox.request("/api/mails").json()["total_entries"] == (0 if status == 200 else 1)


@pytest.mark.parametrize("method", ["POST", "PUT", "OPTIONS"])
def test_no_other_site_is_let_in_by_a_preflight(sandbox, method):
    answer = sandbox.request("/api/mails", method, {"Origin": "https://evil.example"})
    assert answer.status == 405
    assert not [name for name in answer.headers if name.lower().startswith("access-control")]


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("en-GB,en;q=0.9,zh;q=0.8", "en"),
        ("fr", "en"),
        ("", "en"),
        ("fr,zh-TW;q=0.3", "zh"),
        ("zh;q=x,*", "en"),
    ],
)
def test_the_page_speaks_the_readers_language(sandbox, accepted, language):
    page = sandbox.request("/", headers={"Accept-Language": accepted}).body.decode()
    assert f'<html lang="{language}" data-smtp="127.0.0.1:{sandbox.smtp_port}" ' in page
    assert f'data-sms="127.0.0.1:{sandbox.sms_port}">' in page


def test_the_page_needs_nothing_from_elsewhere(sandbox):
    page = sandbox.request("/").body.decode()
    paths = set(re.findall(r'(?:src|href)="([^"#]+)"', page))
    looked_into = set()
    while paths - looked_into:
        path = min(paths - looked_into)
        looked_into.add(path)
        asset = sandbox.request(f"/{path}")
        assert asset.status == 200
        paths |= {f"static/{name}" for name in re.findall(r'from "\./([^"]+)"', asset.body.decode())}
        assert not re.search(rb"(?:https?:)?//(?!www\.w3\.org)[a-z]", asset.body.replace(b"// ", b""))
    assert {"static/sms.js", "static/mails.js", "static/words.js"} <= looked_into


def test_a_mail_in_its_frame_may_do_nothing(sandbox):
    number = sandbox.send(_mail("<!doctype html><script>alert(1)</script>").as_bytes())
    answer = sandbox.request(f"/api/mails/{number}/html")
    policy = dict(part.strip().partition(" ")[::2] for part in answer.headers["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["img-src"] == "data:"
    assert "script-src" not in policy
    assert {"allow-scripts", "allow-same-origin", "allow-forms"}.isdisjoint(policy["sandbox"].split())
    assert answer.body.startswith(b'<!doctype html><base target="_blank">')
    script = sandbox.request("/static/mails.js").body.decode()
    (frame,) = re.findall(r'el\("iframe", \{ sandbox: "([^"]*)"', script)
    assert frame == "allow-popups allow-popups-to-escape-sandbox"


@pytest.mark.parametrize(
    ("html", "shown"),
    [
        ('<img src="cid:logo">', b"data:image/png;base64,cG5n"),
        ("<p style='background:url(cid:logo)'>", b"data:image/png;base64,cG5n"),
        ('<img src="cid:none">', b"cid:none"),
        ("<p>acid:logo</p>", b"acid:logo"),
    ],
)
def test_a_mails_own_images_are_shown(sandbox, html, shown):
    message = _mail(html)
    message.get_payload()[1].add_related(b"png", "image", "png", cid="<logo>")
    number = sandbox.send(message.as_bytes())
    assert shown in sandbox.request(f"/api/mails/{number}/html").body


@pytest.mark.parametrize(
    ("html", "remote"),
    [
        ('<img alt=x src="https://example.com/a.png">', True),
        ("<img src=//example.com/a.png>", True),
        ("<p style='background: url(http://example.com/a)'>", True),
        ('<a href="https://example.com/">link</a>', False),
        ('<img src="data:image/png;base64,AA==">', False),
    ],
)
def test_remote_content_is_pointed_out(sandbox, html, remote):
    number = sandbox.send(_mail(html).as_bytes())
    assert sandbox.request(f"/api/mails/{number}").json()["remote_content"] is remote


# --- in a browser -------------------------------------------------------------------------------------

_HOSTILE = """<!doctype html><html><head>
<meta http-equiv="refresh" content="0;url={trap}/refresh">
<link rel="stylesheet" href="{trap}/style">
<script>fetch("{trap}/script"); parent.document.title = "taken"</script>
<script src="{trap}/script-src"></script>
<style>@import url("{trap}/import");
body {{ background: url("{trap}/background") }}</style></head>
<body onload="new Image().src='{trap}/onload'">
<img src="{trap}/image">
<img src="x" onerror="fetch('{trap}/onerror')">
<svg onload="fetch('{trap}/svg')"></svg>
<iframe src="{trap}/frame"></iframe><object data="{trap}/object"></object>
<video src="{trap}/video" autoplay></video><form id=f action="{trap}/form"></form><script>f.submit()</script>
<iframe srcdoc="<script>fetch('{trap}/srcdoc')</script>"></iframe></body></html>"""


@contextmanager
def _trap(page: list[str]):
    """A web server that notes every path it is asked for."""
    asked: set[str] = set()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.add(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(page[0].encode() if self.path == "/page" else b"")

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()
            thread.join()


def _browse(tmp_path, url):
    """Open a page in Chromium, and return its elements as they are some seconds later."""
    if CHROMIUM is None:
        pytest.skip("no Chromium here")
    options = (
        "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking "
        "--disable-component-update --disable-sync --virtual-time-budget=4000 --dump-dom"
    )
    done = subprocess.run(
        [CHROMIUM, *options.split(), f"--user-data-dir={tmp_path / 'profile'}", url],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout


@pytest.mark.e2e
def test_a_hostile_mail_loads_and_runs_nothing(sandbox, tmp_path):
    page = [""]
    with _trap(page) as (trap, asked):
        page[0] = _HOSTILE.format(trap=trap)
        # Elsewhere the same mail does its harm: the trap works.
        _browse(tmp_path / "unguarded", f"{trap}/page")
        assert {"/script", "/image", "/style", "/frame"} <= asked
        asked.clear()
        number = sandbox.send(_mail(_HOSTILE.format(trap=trap)).as_bytes())
        shown = _browse(tmp_path / "page", f"http://127.0.0.1:{sandbox.http_port}/#{number}")
        assert f'src="api/mails/{number}/html"' in shown
        assert "<title>taken</title>" not in shown
        _browse(tmp_path / "alone", f"http://127.0.0.1:{sandbox.http_port}/api/mails/{number}/html")
        assert asked == set()


@pytest.mark.e2e
def test_the_page_shows_the_newest_mail_and_markup_in_it_as_text(sandbox, tmp_path):
    subject = "<img src=x onerror=\"document.title='taken'\"> & 您好"
    sandbox.send(_mail(subject=subject).as_bytes(), to="ann@example.com")
    shown = _browse(tmp_path, f"http://127.0.0.1:{sandbox.http_port}/")
    assert "&lt;img src=x onerror=" in shown
    assert "您好" in shown
    assert "<title>Mailbox (1)</title>" in shown
    assert "ann@example.com" in shown


@pytest.mark.e2e
def test_the_page_shows_an_sms_and_markup_in_it_as_text(sandbox, tmp_path):
    sandbox.send_sms("15912345678", code="<img src=x onerror=alert(1)>", out_id="<b>id</b>")
    sandbox.send_sms("19900010001")
    shown = _browse(tmp_path / "list", f"http://127.0.0.1:{sandbox.http_port}/#sms")
    assert "<title>SMS (2)</title>" in shown
    assert "&lt;img src=x onerror=alert(1)&gt;" in shown
    assert '<span class="state failed">Failed</span>' in shown
    assert "MOBILE_NOT_ON_SERVICE" in shown  # the newest is open
    number = sandbox.request("/api/sms?to=159").json()["items"][0]["id"]
    shown = _browse(tmp_path / "one", f"http://127.0.0.1:{sandbox.http_port}/#sms/{number}")
    assert "&lt;b&gt;id&lt;/b&gt;" in shown
    assert not re.search(r"<img[^>]*onerror|<b>id", shown)


@pytest.mark.e2e
def test_mails_and_sms_are_counted_beside_each_other(sandbox, tmp_path):
    sandbox.send(_mail().as_bytes())
    sandbox.send_sms()
    sandbox.send_sms()
    shown = _browse(tmp_path, f"http://127.0.0.1:{sandbox.http_port}/")
    assert '<b id="tally-mails">1</b>' in shown
    assert '<b id="tally-sms">2</b>' in shown
    assert "<title>Mailbox (1)</title>" in shown


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("locale", "failed", "waiting"), [("en-GB", "Failed", "Waiting"), ("zh-CN", "失败", "等待回执")]
)
def test_sms_are_found_told_of_and_removed(sandbox, visit, locale, failed, waiting):
    from playwright.sync_api import expect

    page = visit(f"http://127.0.0.1:{sandbox.http_port}/", locale=locale)
    page.keyboard.press("s")
    page.wait_for_selector("#welcome code >> text=1990001")
    sandbox.send_sms("13800000001", code="seven")
    sandbox.send_sms("19900030001", code="eight")
    page.wait_for_selector(f".row.sms .state.waiting >> text={waiting}")
    page.fill("#search", "eight")
    expect(page.locator(".row")).to_have_count(1)
    page.click(".row")
    page.wait_for_selector(f"#message .state.waiting >> text={waiting}")
    # The receipt comes while the SMS is open.
    assert sandbox.request("/control/sms/receipts", "POST", body={"code": "UNDELIV"}).json() == {"settled": 1}
    page.wait_for_selector(f"#message .state.failed >> text={failed}")
    page.wait_for_selector("#message code >> text=UNDELIV")
    page.click("#view-mails")
    page.wait_for_selector("#welcome:not([hidden]) >> text=bounce@example.com")
    page.click("#view-sms")
    expect(page.locator(".row.sms")).to_have_count(2)
    assert page.input_value("#search") == ""
    page.click("#delete")
    page.click("#ask .red")
    page.wait_for_selector("#welcome:not([hidden]) code >> text=1990001")
    assert sandbox.request("/api/sms").json()["total_entries"] == 0


@pytest.mark.e2e
@pytest.mark.parametrize("place", ["", "#sms", "#sms/{sms}", "#{mail}"])
def test_nothing_hangs_over_the_edge(sandbox, visit, place):
    mail = sandbox.send(_mail(subject="x" * 300).as_bytes())
    sms = sandbox.send_sms(code="y" * 35, out_id="z" * 250)
    page = visit(
        f"http://127.0.0.1:{sandbox.http_port}/{place.format(mail=mail, sms=sms)}",
        color_scheme="dark",
    )
    page.wait_for_selector(".row", state="attached")
    over = "[...document.querySelectorAll('.bar > *')].filter((n) => n.getBoundingClientRect().right > innerWidth + 1)"
    for width in (320, 390, 720, 730, 1000, 1400):
        page.set_viewport_size({"width": width, "height": 700})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(f"{over}.map((n) => n.className)") == [], width
