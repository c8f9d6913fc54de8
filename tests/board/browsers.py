"""People who take part in a browser, in profiles of their own; not a test."""

from __future__ import annotations

import json

from playwright.sync_api import expect

from tests.board.site import PASSWORD, PATIENCE

STORE = """async (name) => {
  const asked = (request) => new Promise((done) => (request.onsuccess = () => done(request.result)));
  const base = await asked(indexedDB.open("skyfed-at-home"));
  const rows = await asked(base.transaction(name).objectStore(name).getAll());
  base.close();
  const plain = (_, value) => (ArrayBuffer.isView(value) ? Array.from(value) : value);
  return rows.map((one) => JSON.parse(JSON.stringify(one, plain)));
}"""


class Browser:
    """Somebody at the page of a task, whatever its language: what is pressed is found by its place. `asked` is every
    request of the profile, with the bytes of its body.
    """

    def __init__(self, context, site, email, address=None):
        self.context, self.site, self.email, self.task = context, site, email, 0
        self.address, self.asked, self.faults = address or site.address, [], []
        context.set_default_timeout(60_000)
        context.on("request", self._note)
        self.page = self._open()

    def _open(self):
        page = self.context.new_page()
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        return page

    def _note(self, request):
        self.asked.append(
            (
                request.method,
                request.url,
                json.dumps(request.headers).encode(),
                request.post_data_buffer or b"",
            )
        )

    def step(self, number):
        """One of the three steps."""
        return self.page.locator(".at-home-step").nth(number - 1)

    def open(self, task):
        """The page of the task, once it stands."""
        self.task = task
        self.page.goto(f"{self.address}/tasks/{task}/train")
        self.step(1).locator(".own").wait_for()
        return self

    def give(self, kind, path):
        """Examples, a folder of pictures or a table with the fields' names, and wait until all are in."""
        files = path if kind == "--pictures" else [path]
        chosen = ".own-folder input" if kind == "--pictures" else "input[type=file]"
        self.step(1).locator(chosen).first.set_input_files(files)
        self.trains().wait_for()

    def trains(self):
        """The button that begins a training."""
        return self.step(2).locator(".btn-primary")

    def train(self):
        """Train, until the sheet is there."""
        self.trains().click()
        self.sends().wait_for()

    def sends(self):
        """The button that sends an update."""
        return self.step(3).locator(".btn-primary")

    def log_in(self):
        """By the form where one is led to."""
        self.page.locator("#email").fill(self.email)
        self.page.locator("#password").fill(PASSWORD)
        self.page.locator("#password").press("Enter")
        self.step(1).locator(".own").wait_for()

    def agree(self):
        """Read the consent text and agree."""
        box = self.page.locator("dialog.consent")
        box.locator("input[type=checkbox]").check()
        box.locator(".btn-primary").click()

    def sent(self):
        """Wait until the site has it."""
        expect(self.step(3).locator(".alert-success")).to_be_visible(timeout=1000 * PATIENCE)

    def stored(self, name):
        """What the browser keeps: examples, rounds, ledger."""
        return self.page.evaluate(STORE, name)

    def uploaded(self):
        """The bodies that went to the site."""
        return [body for _method, _url, _headers, body in self.asked if body]
