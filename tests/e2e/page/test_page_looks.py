"""How the Push page is for different people: their language, their eyes, their device, their keyboard, their role."""

from __future__ import annotations

from typing import Any

import pytest
from screens import Opened, go, settled, violations

SCREENS = ("", "tasks", "tasks/new", "tasks/welcome", "executions", "executions/1", "deliveries", "configurations")
SCREENS += ("configurations/new/push_email", "rejected", "help", "help/push-tasks")


@pytest.fixture(scope="module", autouse=True)
def _welcome(platform: Any) -> None:
    platform.await_runs("welcome", 1)


@pytest.mark.parametrize(("theme", "language"), [("light", "en"), ("dark", "zh-CN")])
def test_no_screen_shuts_anybody_out_or_lacks_a_word(opened: Opened, theme: str, language: str) -> None:
    page = opened(theme=theme, language=language)
    found: dict[str, list[str]] = {}
    for screen in SCREENS:
        shown = go(page, screen)
        settled(page)
        page.wait_for_timeout(300)  # colours fade in
        if faults := violations(page) + wordless(screen, shown):
            found[screen] = faults
    assert found == {}


def wordless(screen: str, shown: Any) -> list[str]:
    """Keys that have no words, and so show themselves: small letters with a dot between."""
    if screen.startswith("help"):  # which speaks of such names
        return []
    keys = shown.evaluate(
        """(element) => element.innerText.match(
            /\\b(?:tasks|task|taskForm|overview|executions?|deliveries|configurations|rejected|help|tab|field|do|list|fault|status|source|channel|screens)(?:\\.[a-zA-Z_]+)+\\b/g)"""
    )
    return [key for key in keys or () if not key.endswith((".md", ".yaml", ".info"))]


def test_a_phone_shows_every_screen(opened: Opened) -> None:
    page = opened(width=375, height=740)
    wide: dict[str, list[int]] = {}
    for screen in SCREENS:
        go(page, screen)
        settled(page)
        # Tables scroll by themselves; the page does not scroll sideways.
        beyond = page.evaluate(
            """() => {
                const shown = document.querySelector('[data-testid="push-page"]');
                return [shown.scrollWidth - shown.clientWidth, document.documentElement.scrollWidth - innerWidth];
            }"""
        )
        if max(beyond) > 1:
            wide[screen] = beyond
    assert wide == {}


def test_it_speaks_chinese_where_airflow_does(opened: Opened) -> None:
    page = opened(language="zh-CN")
    names = ["总览", "推送任务", "执行记录", "投递记录", "发送配置"]
    for screen, name in zip(("", "tasks", "executions", "deliveries", "configurations"), names, strict=True):
        shown = go(page, screen)
        assert shown.get_by_role("link", name=name, exact=True).first.get_attribute("aria-current") == "page"
        settled(page)
    shown = go(page, "tasks/new")
    shown.get_by_role("form", name="新建推送任务").wait_for()
    go(page, "help")
    settled(page)
    assert page.get_by_role("article").get_by_text("推送任务").first.is_visible()


def test_the_keyboard_alone_is_enough(platform: Any, page: Any) -> None:
    """Open the page, make a task and save it, with no mouse."""
    go(page, "tasks")
    settled(page)

    def reach(name: str) -> None:
        for _ in range(80):
            page.keyboard.press("Tab")
            shown = page.evaluate("document.activeElement.ariaLabel || document.activeElement.innerText")
            if shown.strip() == name:
                return
        raise AssertionError(f"{name} cannot be reached")

    reach("New push task")
    page.keyboard.press("Enter")
    form = page.get_by_role("form", name="New push task")
    form.wait_for()
    form.get_by_label("Name", exact=False).first.focus()
    page.keyboard.type("By keys")
    page.keyboard.press("Tab")
    page.keyboard.type("page-keys")
    form.get_by_label("When").focus()
    page.keyboard.type("only when")
    form.get_by_label("Subject").focus()
    page.keyboard.type("Keys")
    form.get_by_role("textbox", name="Content").focus()
    page.keyboard.type("<p>Keys</p>")
    reach("Save")
    page.keyboard.press("Enter")
    page.wait_for_url("**/plugin/push/tasks/page-keys")
    assert platform.ledger("SELECT name, spec -> 'schedule' ->> 'kind' FROM push_task WHERE code = 'page-keys'") == [
        ("By keys", "manual")
    ]


RIGHT_TO_LEFT = "\u05e9\u05dc\u05d5\u05dd <b> 123 \u0627\u0644\u0641\u0627\u062a\u0648\u0631\u0629 "
HOSTILE = (
    "<img src=x onerror='window.taken=1'><script>window.taken=1</script>",
    RIGHT_TO_LEFT * 8,
    "W" * 5000 + " " + "长" * 3000,
)


def test_hostile_texts_harm_no_screen(platform: Any, opened: Opened) -> None:
    page = opened(width=1280)
    for number, text in enumerate(HOSTILE):
        code = f"page-hostile-{number}"
        manual = {"schedule": {"kind": "manual"}, "execution": {"type": "loop"}}
        body = {"subject": text[:900], "content": text, "content_type": "text", "variables": {"x": text}}
        platform.apply({"code": code, "name": text[:190], **manual, **body, "retries": 0})
        platform.await_dag(code)
        to = f"bounce+{number}{'w' * 50}@example.com"
        assert platform.call(f"/push/v1/tasks/{code}/trigger", {"recipients": [to]})[0] in (200, 201, 202)
        platform.await_runs(code, 1)
        (execution,), *_ = platform.ledger("SELECT id FROM push_execution WHERE task_code = %s", code)
        for screen in ("", "tasks", f"tasks/{code}", f"tasks/{code}/edit", f"executions/{execution}", "deliveries"):
            shown = go(page, screen)
            settled(page)
            assert page.evaluate("window.taken ?? null") is None, (code, screen)
            assert page.locator("img[src=x]").count() == 0, (code, screen)
            wide = shown.evaluate("(one) => one.scrollWidth - one.clientWidth")
            assert wide <= 1, (code, screen)
    page.evaluate("window.taken ?? null")


def test_airflow_s_own_screens_lead_here(platform: Any, page: Any) -> None:
    (run,) = platform.runs("welcome")
    page.goto(f"/dags/push__welcome/runs/{run['dag_run_id']}/plugin/push-run-deliveries")
    tab = page.get_by_test_id("push-tab")
    tab.get_by_role("button", name="you@example.com").wait_for()
    assert violations(page) == []
    page.goto("/dags/push__welcome/plugin/push-deliveries")
    page.get_by_test_id("push-tab").get_by_text("1 of at most 1 executions").wait_for()
    page.goto("/dags/push_kafka/plugin/push-deliveries")
    page.get_by_text("This DAG is no push task.").wait_for()
    page.goto(f"/dags/push__welcome/runs/{run['dag_run_id']}/tasks/send")
    link = page.locator("a[href*='/plugin/push/executions/']").first  # in the task's log; it opens a tab of its own
    (execution,) = platform.ledger("SELECT id FROM push_execution WHERE task_code = 'welcome'")
    assert (link.get_attribute("href") or "").endswith(f"/plugin/push/executions/{execution[0]}")
