"""A real browser without a screen, driven over WebDriver, which is JSON over HTTP."""

import base64
import contextlib
import re
import shutil
import subprocess

import requests

DRIVER = shutil.which("chromedriver")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
# What a browser in a container without a screen and without a network needs.
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


class Browser:
    """One session: opens pages, runs scripts in them, takes pictures of them."""

    def __init__(self, session, address):
        self._session = session
        self._address = address

    def send(self, path, **body):
        answer = self._session.post(self._address + path, json=body, timeout=120).json()["value"]
        assert not (isinstance(answer, dict) and "stacktrace" in answer), answer
        return answer

    def cdp(self, command, **params):
        return self.send("/goog/cdp/execute", cmd=command, params=params)

    def open(self, path, *, width=1280, height=1000, scheme="light"):
        self.cdp(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        self.cdp("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.send("/url", url=path.resolve().as_uri())

    def js(self, script, *arguments):
        return self.send("/execute/sync", script=script, args=list(arguments))

    def wait_for(self, script, *arguments):
        """Wait until a script gives something true, and return that."""
        waiting = "const done = arguments[arguments.length - 1]; const ask = () => {{ const found = (() => {{ {} }})(); found ? done(found) : setTimeout(ask, 20); }}; ask();"  # noqa: E501  one line of script for the browser
        return self.send("/execute/async", script=waiting.format(script), args=list(arguments))

    def press(self, *keys):
        actions = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        self.send("/actions", actions=[{"type": "key", "id": "keys", "actions": actions}])

    def picture(self, *, whole=False):
        answer = self.cdp("Page.captureScreenshot", captureBeyondViewport=whole)
        return base64.b64decode(answer["data"])

    def pdf(self):
        return base64.b64decode(self.cdp("Page.printToPDF")["data"])

    def complaints(self):
        """What the page wrote on its console, refusals of its policy included."""
        return [entry["message"] for entry in self.send("/se/log", type="browser")]


@contextlib.contextmanager
def browsing(profile):
    """Start a browser with a profile of its own."""
    driver = subprocess.Popen(
        [DRIVER, "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    session = requests.Session()
    session.trust_env = False
    try:
        started = next(line for line in driver.stdout if "successfully on port" in line)
        root = f"http://127.0.0.1:{re.search(r'on port ([0-9]+)', started).group(1)}/session"
        chrome = {"args": [*FLAGS, f"--user-data-dir={profile}"], "binary": CHROMIUM}
        wanted = {"goog:chromeOptions": chrome, "goog:loggingPrefs": {"browser": "ALL"}}
        answer = session.post(root, json={"capabilities": {"alwaysMatch": wanted}}, timeout=60).json()[
            "value"
        ]
        address = f"{root}/{answer['sessionId']}"
        yield Browser(session, address)
        session.delete(address, timeout=30)
    finally:
        driver.kill()
