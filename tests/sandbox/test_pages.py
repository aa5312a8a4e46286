"""The pages for people, as text and in a real browser."""

import base64
import contextlib
import os
import pathlib
import re
import shutil
import subprocess
import threading

import pytest
import requests

DRIVER = shutil.which("chromedriver")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
# What a browser in a container without a screen and without a network needs.
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


@pytest.fixture
def busy(crm):
    """A CRM that a pipeline has just worked on."""
    crm.sandbox.faults({"name": "too many", "operation": "list", "nth": 2, "status": 429, "retry_after": 3})
    crm.get("/contacts", order="updated_at|desc")
    crm.get("/contacts")
    crm.new(
        last_name="<b>Souza</b>",
        email="ana@x.example",
        tags=["chinook"],
        phones=[{"number": "+1 555"}],
        companies=[1],
    )
    crm.put("/contacts/3", first_name="Rui", email="no address")
    return crm


def _page(crm, path):
    answer = requests.get(crm.sandbox.origin + path, timeout=10)
    return answer.status_code, answer.text


def test_the_first_page_shows_contacts_with_what_hangs_on_them(busy):
    status, text = _page(busy, "/")
    assert status == 200
    row = next(line for line in text.split("<tr>") if "ana@x.example" in line)
    company = busy.get("/companies/1").json()["name"]
    for shown in ("+1 555", "chinook", company, "2026-06-01 08:00:00"):
        assert shown in row


def test_the_first_page_shows_the_last_requests_newest_first(busy):
    text = _page(busy, "/")[1]
    order = [text.index(mark) for mark in ("PUT", "POST", "too many", "order=updated_at|desc")]
    assert order == sorted(order)
    assert 'class="bad">422' in text
    assert 'http-equiv="refresh"' in text
    assert 'http-equiv="refresh"' not in _page(busy, "/?refresh=off")[1]


def test_looking_is_not_a_request_to_the_api(busy):
    before = busy.sandbox.counts()
    _page(busy, "/")
    assert busy.sandbox.counts() == before


def test_what_people_typed_is_shown_as_text_only(busy):
    for path in ("/", "/contacts/26", "/?q=%3Cscript%3E"):
        text = _page(busy, path)[1]
        assert "<b>Souza" not in text
        assert "<script" not in text
    assert "&lt;b&gt;Souza" in _page(busy, "/")[1]


def test_the_search_box_narrows_the_contacts(busy):
    text = _page(busy, "/?q=ana@x.example")[1]
    assert "1 of 1" in text
    assert "No contact to show." in _page(busy, "/?q=nobody-at-all")[1]


def test_one_contact_has_a_page_of_its_own(busy):
    status, text = _page(busy, "/contacts/26")
    assert (status, "cf_lifetime_value" in text) == (200, True)
    assert _page(busy, "/contacts/999")[0] == 404
    assert _page(busy, f"/contacts/{2**70}")[0] == 404


def test_a_contacts_page_begins_with_what_hangs_on_it(busy):
    busy.put("/associations/contacts/26", deals=[1], activities=[2])
    names = re.findall(r'<tr><td data-label="Field"><code>(\w+)</code>', _page(busy, "/contacts/26")[1])
    assert names[:10] == [
        "id", "display_name", "first_name", "last_name", "email", "phones", "tags", "companies", "deals", "activities",
    ]  # fmt: skip
    assert len(names) == len(set(names)) > 40


def test_a_long_address_breaks_between_its_parameters(busy):
    busy.get("/contacts", select="id;email", per_page="5")
    text = _page(busy, "/")[1]
    assert "/contacts?select=id;<wbr>email&amp;<wbr>per_page=5" in text
    assert "Requests, the last first: 5 of 5" in text


def test_every_request_says_when_it_came(busy):
    text = _page(busy, "/")[1]
    times = [entry["at"][11:19] for entry in busy.sandbox.log()]
    assert "<th>Time (UTC)</th>" in text
    assert re.findall(r'Time \(UTC\)"><span class="fixed">([0-9:]+)<', text) == times[::-1]


def test_a_request_that_is_no_call_is_explained(busy):
    assert "no such path or method" not in _page(busy, "/")[1]
    busy.get("/nowhere")
    assert "no such path or method" in _page(busy, "/")[1]


def test_all_requests_that_are_kept_can_be_paged_through(busy):
    for _ in range(230):
        busy.get("/nowhere")
    total = busy.sandbox.counts()["total"]
    assert 'href="/requests"' in _page(busy, "/")[1]
    path, numbers, pages = "/requests", [], 0
    while path:
        text = _page(busy, path)[1]
        assert "http-equiv" not in text
        numbers += [int(number) for number in re.findall(r'data-label="No.">([0-9]+)<', text)]
        older = re.search(r'href="(/requests[?]before=[0-9]+)">Older', text)
        path, pages = older and older[1], pages + 1
    assert (numbers, pages) == (list(range(total, 0, -1)), 2)
    for nonsense in ("x", "-1", "9" * 5000, "0", "²"):
        assert _page(busy, f"/requests?before={nonsense}")[0] == 200


def test_a_look_up_of_a_hundred_addresses_does_not_fill_the_page(busy):
    emails = ",".join(f"somebody{number}@x.example" for number in range(100))
    busy.get("/contacts/search", q=emails, search_fields="email:in")
    busy.put("/contacts/3", first_name="Rui", **{f"cf_{letter}": None for letter in "abcdefghij"})
    text = _page(busy, "/")[1]
    assert "somebody5@" in text
    assert "somebody50@" not in text
    assert f"… ({len('/contacts/search?q=&search_fields=email:in' + emails)} characters)" in text
    assert "cf_g, cf_h and 3 more" in text


def test_no_page_asks_for_anything_from_elsewhere(busy):
    for path in ("/", "/docs", "/contacts/26"):
        linked = re.findall(r'(?:src|href|action)="([^"]*)"', _page(busy, path)[1])
        assert linked
        assert all(re.match(r"/(?!/)|#", target) for target in linked)
    assert (
        requests.get(f"{busy.sandbox.origin}/style.css", timeout=10)
        .headers["Content-Type"]
        .startswith("text/css")
    )


def test_the_docs_show_every_path_of_the_api(busy):
    document = requests.get(f"{busy.sandbox.origin}/openapi.json", timeout=10).json()
    text = _page(busy, "/docs")[1]
    assert len(document["paths"]) > 20
    for path in document["paths"]:
        assert f"/api{path}<" in text


@contextlib.contextmanager
def _browsing(profile):
    """A browser driven over WebDriver, which is JSON over HTTP; gives a function that sends one command."""
    driver = subprocess.Popen(
        [DRIVER, "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    session = requests.Session()
    session.trust_env = False
    try:
        started = next(line for line in driver.stdout if "successfully on port" in line)
        root = f"http://127.0.0.1:{re.search(r'on port ([0-9]+)', started).group(1)}/session"
        chrome = {"args": [*FLAGS, f"--user-data-dir={profile}"], "binary": CHROMIUM}
        wanted = {"capabilities": {"alwaysMatch": {"goog:chromeOptions": chrome}}}
        answer = session.post(root, json=wanted, timeout=60).json()["value"]
        address = f"{root}/{answer['sessionId']}"

        def send(method, path, **body):
            return session.request(method, address + path, json=body or None, timeout=60).json()["value"]

        yield send
        session.delete(address, timeout=30)
    finally:
        driver.kill()
        driver.communicate()


needs_browser = pytest.mark.skipif(
    None in {CHROMIUM, DRIVER} and "CI" not in os.environ,
    reason="needs chromium and chromedriver: make browser installs them",
)
# What lies beyond the right edge, or is scrolled away inside a box.
CUT_OFF = """
return [...document.querySelectorAll("body *")].filter(box =>
  box.getBoundingClientRect().right > innerWidth + 0.5 || box.scrollWidth > box.clientWidth + 1 && box.clientWidth > 0
).map(box => `${box.tagName} ${box.textContent.slice(0, 60)}`)
"""


@pytest.mark.browser
@needs_browser
def test_nothing_is_cut_off_on_a_phone_and_on_a_desk(busy, tmp_path):
    busy.get("/nowhere")
    busy.get(
        "/contacts", select="id;first_name;email", order="updated_at|desc", **{"with": "companies;deals"}
    )
    busy.get("/contacts/search", q="x" * 300)
    busy.new(
        last_name="Albuquerque" * 8,
        email=f"{'longo' * 12}@{'empresa' * 8}.example",
        tags=["t" * 60, "u" * 60],
    )
    with _browsing(tmp_path / "profile") as browser:
        for width in (1280, 420):
            browser("POST", "/window/rect", width=width, height=1000)
            metrics = {"width": width, "height": 1000, "deviceScaleFactor": 1, "mobile": False}
            browser("POST", "/goog/cdp/execute", cmd="Emulation.setDeviceMetricsOverride", params=metrics)
            for path in ("/?refresh=off", "/requests", "/contacts/27", "/docs"):
                browser("POST", "/url", url=f"{busy.sandbox.origin}{path}")
                assert browser("POST", "/execute/sync", script=CUT_OFF, args=[]) == [], (width, path)


@pytest.mark.browser
@needs_browser
def test_a_real_browser_shows_the_page_and_each_request_as_it_arrives(busy, tmp_path):
    with _browsing(tmp_path / "profile") as browser:
        browser("POST", "/url", url=f"{busy.sandbox.origin}/")
        first = browser("GET", "/source")
        assert "ana@x.example" in first
        assert "luis@x.example" not in first
        busy.new(first_name="Luís", email="luis@x.example")
        pause = threading.Event()
        while "luis@x.example" not in browser("GET", "/source"):
            pause.wait(0.2)
        browser("POST", "/window/rect", width=1280, height=1000)
        size = "const box = document.querySelector('section').getBoundingClientRect(); return [box.width, box.height]"
        width, height = browser("POST", "/execute/sync", script=size, args=[])
        picture = base64.b64decode(browser("GET", "/screenshot"))
    assert 900 < width <= 1280
    assert height > 150
    assert picture.startswith(b"\x89PNG")
    # A page whose style sheet or tables are missing is a few kilobytes; one with tables and text is far more.
    assert len(picture) > 40_000
    keep = os.environ.get("APPCRM_SANDBOX_SCREENSHOT")
    if keep:
        pathlib.Path(keep).write_bytes(picture)
