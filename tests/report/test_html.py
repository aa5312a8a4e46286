"""The page: what it says, that nothing in it is more than text, and how it behaves in a real browser."""

import re
from html.parser import HTMLParser

import pytest
from browser import CHROMIUM, DRIVER, browsing
from receipt_files import AT, a_run, many, receipt, write_runs

import appcrm_report.html

HOSTILE = (
    "</script><script>document.title='owned'</script><!--<img src=x onerror=\"document.title='owned'\">\u2028"
)


@pytest.fixture
def page_of(tmp_path, report):
    """Write the page of some runs, and return its path."""

    def make(*runs, options=()):
        path = write_runs(tmp_path / "receipts.jsonl", *runs)
        code, said, complaint = report("html", path, *options, "-o", tmp_path / "page.html")
        assert (code, complaint) == (0, "")
        assert said == f"{tmp_path / 'page.html'}\n"
        return tmp_path / "page.html"

    return make


class Loads(HTMLParser):
    """Collects what a page would load, and the scripts that a browser would run."""

    def __init__(self):
        super().__init__()
        self.loaded, self.scripts, self.policy = [], 0, ""

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.loaded += [value for name, value in attrs if name in ("src", "href", "action", "data", "srcset")]
        if tag in ("link", "img", "iframe", "object", "base", "form"):
            self.loaded.append(tag)
        if given.get("http-equiv") == "Content-Security-Policy":
            self.policy = given["content"]
        if tag == "script" and given.get("type") != "application/json":
            self.scripts += 1


def test_a_page_loads_nothing_and_runs_one_script(page_of):
    text = page_of((a_run(), list(many(50)))).read_text(encoding="utf-8")
    loads = Loads()
    loads.feed(text)
    assert (loads.loaded, loads.scripts) == ([], 1)
    assert loads.policy.startswith("default-src 'none'; style-src 'sha256-")
    assert not re.search(r"url\(|@import|fetch\(|XMLHttpRequest|innerHTML", text)


def test_whatever_a_record_holds_the_page_has_one_script(page_of):
    hostile = receipt(
        "update", 1, stream=HOSTILE, key={HOSTILE: HOSTILE}, changes={HOSTILE: [HOSTILE, [HOSTILE]]},
        left_alone={HOSTILE: HOSTILE}, names={HOSTILE: {HOSTILE: HOSTILE}}, reason=HOSTILE, cause=HOSTILE,
    )  # fmt: skip
    refused = receipt("reject", reason=HOSTILE, cause=HOSTILE)
    run = a_run(HOSTILE, error=HOSTILE, meltano_run_id=HOSTILE, app_version=HOSTILE)
    text = page_of((run, [hostile, refused])).read_text(encoding="utf-8")
    loads = Loads()
    loads.feed(text)
    assert (loads.loaded, loads.scripts) == ([], 1)
    assert text.count("</script>") == 3
    assert "<!--" not in text
    assert "\u2028" not in text[text.index('id="rows"') :]


def test_a_page_is_readable_by_its_owner_only(page_of):
    assert page_of((a_run(), [])).stat().st_mode & 0o777 == 0o600


def test_a_page_says_first_what_is_deleted_and_how_long_it_takes(page_of):
    receipts = [receipt("create"), receipt("delete", 7), *[receipt("update", n) for n in range(200)]]
    text = page_of((a_run(planned=True, requests=181), receipts)).read_text(encoding="utf-8")
    cards = re.findall(r'<li class="card[^>]*>(.*?)</li>', text)
    assert "<b>1</b> to delete" in cards[0]
    assert any("<b>181</b> requests to look<small>about 3 minutes at 90 a minute" in card for card in cards)
    assert any("<b>383</b> requests to apply<small>about 5 minutes" in card for card in cards)
    assert "Nothing has been written yet" in text


def test_a_run_that_never_ended_or_failed_says_so_on_the_page(page_of):
    failed = a_run(
        "b", exit_code=1, error="62 records were rejected", open_rejects=12, oldest_open_reject_at=AT
    )
    text = page_of((a_run("a"), [receipt("update", 1)], False), (failed, [])).read_text(encoding="utf-8")
    for words in (
        "a never ended",
        "exit code 1",
        "62 records were rejected",
        "Open rejects: 12, the oldest since 2026",
    ):
        assert words in text


def test_a_run_in_two_files_is_shown_once(tmp_path, report):
    path = write_runs(tmp_path / "one.jsonl", (a_run(), [receipt("update", 1)]))
    other = tmp_path / "two.jsonl"
    other.write_bytes(path.read_bytes())
    assert report("html", path, other, "-o", tmp_path / "page.html")[0] == 0
    assert "<b>1</b> updated" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_of_too_many_runs_the_last_are_shown_and_the_page_says_so(page_of, monkeypatch):
    monkeypatch.setattr(appcrm_report.html, "MOST_ROWS", 5)
    runs = [(a_run(f"run-{n}"), [receipt("update", n), receipt("update", n)]) for n in range(4)]
    text = page_of(*runs).read_text(encoding="utf-8")
    assert "<b>4</b> updated" in text
    assert "2 older runs did not fit" in text
    one = page_of(options=["--run", "run-0"]).read_text(encoding="utf-8")
    assert "<b>2</b> updated" in one


def test_unchanged_records_past_a_limit_are_counted_only(page_of, monkeypatch):
    monkeypatch.setattr(appcrm_report.html, "MOST_UNCHANGED", 3)
    text = page_of((a_run(), [receipt("unchanged", n) for n in range(4)])).read_text(encoding="utf-8")
    assert "<b>4</b> unchanged" in text
    assert 'id="rows">[]' in text


needs_browser = pytest.mark.skipif(
    not (DRIVER and CHROMIUM),
    reason="NO BROWSER: chromium and chromedriver are missing, the page was not looked at",
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with browsing(tmp_path_factory.mktemp("profile")) as found:
        yield found


STATUS = "document.getElementById('status').textContent"


@needs_browser
def test_in_a_browser_20000_records_are_searched_filtered_and_folded(page_of, browser):
    browser.open(page_of((a_run(planned=True, requests=900), list(many(20_000)))))
    assert browser.js(f"return {STATUS}") == "20,000 decisions"
    drawn = browser.js("return document.querySelectorAll('.row').length")
    assert 50 <= drawn < 1000

    first = browser.js("return document.querySelector('.group').className")
    assert first == "group delete"
    red, green, _ = map(int, re.findall(r"\d+", browser.js(
        "return getComputedStyle(document.querySelector('.group.delete h2 button')).color"))[:3])  # fmt: skip
    assert red > 2 * green

    # `/` leads to the search, from wherever one is.
    browser.press("/")
    assert browser.js("return document.activeElement.id") == "search"
    browser.press(*"heitor porto")
    found = browser.wait_for(f"return {STATUS}.includes(' of ') && {STATUS}")
    shown = browser.js(
        "return [...document.querySelectorAll('.row')].slice(0, 20).map((row) => row.textContent)"
    )
    assert int(found.split()[0].replace(",", "")) < 2000
    assert shown
    assert all("heitor" in text.lower() for text in shown)
    browser.press("\ue00c")
    assert browser.js(f"return {STATUS}") == "20,000 decisions"

    browser.js(
        "const field = document.getElementById('field'); field.value = 'phones';"
        "field.dispatchEvent(new Event('change'))"
    )
    assert set(browser.js("return [...document.querySelectorAll('.group')].map((each) => each.className)")) == {
        "group delete", "group update",
    }  # fmt: skip
    browser.js("document.querySelector('#operations input[value=delete]').click()")
    assert browser.js("return document.querySelectorAll('.group').length") == 1

    # Fold a group by the keyboard, and unfold it again.
    browser.js("document.querySelector('.group h2 button').focus()")
    browser.press("\ue007")
    assert browser.js("return document.querySelector('.group .rows').hidden") is True
    browser.press("\ue007")
    assert browser.js("return document.querySelector('.group .rows').hidden") is False
    before = browser.js("return document.querySelectorAll('.row').length")
    browser.js("document.querySelector('.more').click()")
    assert browser.js("return document.querySelectorAll('.row').length") == before + 250
    browser.js("document.getElementById('fold').click()")
    assert browser.js("return document.querySelectorAll('.row[open]').length") == 0
    assert browser.complaints() == []


@needs_browser
def test_in_a_browser_old_and_new_values_stand_field_by_field_with_names(page_of, browser):
    changes = {"city": ["Recife", "Olinda"], "companies": [[1, 2], [2, 3]], "job_title": [None, "CTO"]}
    path = page_of(
        (a_run(), [receipt("update", 7, key={"email": "a@x.example"}, changes=changes, left_alone={"email": "never"},
                           names={"companies": {"1": "Acme", "3": "Brejo"}}),
                   receipt("reject", key={"email": "b@x.example"}, reason="b is taken", cause="status 422 on email")])
    )  # fmt: skip
    browser.open(path)
    text = browser.js("return document.getElementById('list').innerText")
    for words in (
        "a@x.example",
        "Recife",
        "→",
        "Olinda",
        "Acme (1)",
        "#2",
        "Brejo (3)",
        "empty",
        "email (never)",
    ):
        assert words in text
    marked = "return [...document.querySelectorAll('.value del, .value ins')].map((each) => each.innerText)"
    assert [text.replace("\n", " ") for text in browser.js(marked)] == [
        "removed: Acme (1)",
        "added: Brejo (3)",
    ]
    assert "Rejected: status 422 on email" in text
    assert "Another contact holds this address" in text


@needs_browser
def test_in_a_browser_hostile_values_stay_text(page_of, browser):
    hostile = receipt("update", 1, key={"email": HOSTILE}, changes={HOSTILE: ["\u202eabc\u0000", HOSTILE]})
    browser.open(page_of((a_run(HOSTILE), [hostile, receipt("reject", reason=HOSTILE, cause=HOSTILE)])))
    assert browser.js("return document.title").startswith("Run of")
    assert browser.js("return document.querySelectorAll('img').length") == 0
    text = browser.js("return document.getElementById('list').innerText")
    assert "onerror" in text
    assert "[U+202E]abc[U+0000]" in text
    assert browser.complaints() == []


@needs_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 420])
def test_in_a_browser_the_page_fits_its_width_and_its_words_stand_out(page_of, browser, width, scheme):
    page = page_of((a_run("a"), list(many(60))), (a_run("b", planned=True), list(many(60, 2))))
    browser.open(page, width=width, scheme=scheme)
    assert browser.js("return document.documentElement.scrollWidth <= window.innerWidth")
    contrasts = browser.js(
        """
        const light = (colour) => {
          const [r, g, b] = colour.match(/[0-9.]+/g).map((each) => each / 255)
            .map((each) => (each <= 0.03928 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4));
          return 0.2126 * r + 0.7152 * g + 0.0722 * b;
        };
        const behind = (node) => {
          const colour = getComputedStyle(node).backgroundColor;
          return /, 0\\)$/.test(colour) ? behind(node.parentElement) : colour;
        };
        return [...document.querySelectorAll(
          'h1, .card, .card small, .name, .old, .new, .soft, del, ins, button, .advice, td')]
          .map((node) => [node.className || node.tagName, light(getComputedStyle(node).color), light(behind(node))])
          .map(([name, one, other]) => [name, (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05)]);
        """
    )
    assert len(contrasts) > 50
    assert [each for each in contrasts if each[1] < 4.5] == []


@needs_browser
def test_in_a_browser_print_has_all_rows_and_no_controls(page_of, browser):
    browser.open(page_of((a_run(), [receipt("update", n, changes={"city": ["a", "b"]}) for n in range(120)])))
    assert browser.js("return document.querySelectorAll('.row').length") == 50
    browser.js("window.dispatchEvent(new Event('beforeprint'))")
    assert browser.js("return document.querySelectorAll('.row').length") == 120
    browser.js("window.dispatchEvent(new Event('afterprint'))")
    assert browser.pdf().count(b"/Type /Page\n") + browser.pdf().count(b"/Type /Page ") > 2
