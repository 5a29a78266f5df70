"""A headless Chromium without internet, led over its DevTools protocol."""

import contextlib
import json
import shutil
import subprocess
import time
import urllib.request

import websocket  # websocket-client, which Jupyter brings

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--remote-debugging-port=0",
    "--window-size=1300,1000",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # no name leads anywhere: there is no internet
]


def wait_for(what, seconds=180):
    """What `what()` returns as soon as it is true; fails after some seconds."""
    end = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < end, f"nothing after {seconds} s"
        time.sleep(0.1)
    return found


class Page:
    """A page of the browser.

    Attributes:
        requested: the addresses that it has asked for.
    """

    def __init__(self, address):
        self._socket = websocket.create_connection(address, timeout=120, suppress_origin=True)
        self._number, self.requested = 0, []
        self.send("Network.enable")
        self.send("Page.enable")

    def send(self, method, **params):
        """Sends a command of the protocol, and returns its result."""
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": params}))
        while True:
            message = json.loads(self._socket.recv())
            if message.get("method") == "Network.requestWillBeSent":
                self.requested.append(message["params"]["request"]["url"])
            if message.get("id") == self._number:
                assert "error" not in message, message
                return message["result"]

    def run(self, script):
        """The value of a JavaScript expression."""
        result = self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def point_at(self, x, y):
        """Moves the mouse to a place of the window, in pixels."""
        for near in (3, 0):
            self.send("Input.dispatchMouseEvent", type="mouseMoved", x=x + near, y=y)


@contextlib.contextmanager
def browse(folder):
    """Within `with`, an empty `Page` of a browser that keeps its files in `folder`."""
    command = [CHROMIUM, *FLAGS, f"--user-data-dir={folder}", "about:blank"]
    with open(folder / "chromium.log", "wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        port = (
            wait_for(lambda: (folder / "DevToolsActivePort").exists())
            and wait_for(lambda: (folder / "DevToolsActivePort").read_text().split())[0]
        )
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json") as answer:
            (address,) = [page["webSocketDebuggerUrl"] for page in json.load(answer) if page["type"] == "page"]
        yield Page(address)
    finally:
        process.terminate()
        process.wait(30)
