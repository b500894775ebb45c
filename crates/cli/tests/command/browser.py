"""Shows pages in a headless chromium, over the DevTools protocol, and checks what no unit test can see.

usage: browser.py [--whole] FOLDER PAGE.html...

Each page is shown light, dark, 390 pixels wide and on paper. It must ask for nothing but itself, log nothing, draw something,
not be wider than its window, keep its contents readable, answer to the keyboard, and be one well-formed document whose figures
add up and are those of the data inside. The pictures stay in FOLDER; with --whole they show all of a page, else its upper part. The
first failure ends the run with status 1.
"""
import base64
import json
import os
import select
import struct
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as tree
import zlib

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--disable-extensions", "--disable-dev-shm-usage", "--hide-scrollbars",
         "--host-resolver-rules=MAP * ~NOTFOUND", "--remote-debugging-pipe"]
PATIENCE = 60
MOST_BYTES = 2 << 20


class Browser:
    """One chromium, spoken to over two pipes."""

    def __init__(self, profile):
        # The browser reads from its descriptor 3 and writes to its descriptor 4.
        ours_in, theirs_out = os.pipe()
        theirs_in, ours_out = os.pipe()
        # Out of the way of 3 and 4 first: the pipes themselves may have these numbers.
        high = [os.dup(fd) for fd in (theirs_in, theirs_out)]
        while min(high) <= 4:
            high = [os.dup(fd) for fd in high]

        def place():
            os.dup2(high[0], 3)
            os.dup2(high[1], 4)

        self.errors = open(os.path.join(profile, "errors"), "w+b")
        self.process = subprocess.Popen(
            ["chromium", *FLAGS, "--user-data-dir=" + profile, "about:blank"], preexec_fn=place, close_fds=False,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self.errors)
        for fd in [theirs_in, theirs_out, *high]:
            os.close(fd)
        self.reader, self.writer = ours_in, ours_out
        self.buffer, self.events, self.number, self.session = b"", [], 0, None

    def message(self):
        end = time.monotonic() + PATIENCE
        while b"\0" not in self.buffer:
            ready, _, _ = select.select([self.reader], [], [], max(0, end - time.monotonic()))
            part = os.read(self.reader, 1 << 20) if ready else b""
            if not part:
                self.errors.seek(0)
                sys.exit("chromium does not answer:\n" + self.errors.read().decode(errors="replace")[-3000:])
            self.buffer += part
        text, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(text)

    def ask(self, method, **parameters):
        self.number += 1
        question = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            question["sessionId"] = self.session
        os.write(self.writer, json.dumps(question).encode() + b"\0")
        while True:
            message = self.message()
            if message.get("id") == self.number:
                if "error" in message:
                    sys.exit(f"{method}: {message['error']}")
                return message["result"]
            self.events.append(message)

    def wait_for(self, method):
        while not any(event["method"] == method for event in self.events):
            self.events.append(self.message())

    def value(self, expression):
        answer = self.ask("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in answer:
            sys.exit(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def close(self):
        question = {"id": self.number + 1, "method": "Browser.close", "params": {}}
        os.write(self.writer, json.dumps(question).encode() + b"\0")
        # It may be gone before its answer is.
        end = time.monotonic() + PATIENCE
        while self.process.poll() is None:
            must(time.monotonic() < end, "chromium does not end")
            ready, _, _ = select.select([self.reader], [], [], 0.05)
            if ready and not os.read(self.reader, 1 << 20):
                time.sleep(0.05)


def must(condition, *words):
    if not condition:
        sys.exit("FAILED: " + " ".join(str(word) for word in words))


def check_document(path):
    """The file by itself: size, form, sums, the data inside."""
    text = open(path, encoding="utf-8").read()
    must(len(text.encode()) < MOST_BYTES, path, "is too large:", len(text.encode()))
    root = tree.fromstring(text)  # a strict parser: every element closed, every attribute quoted, every sign escaped
    scripts = [element for element in root.iter("script")]
    must([script.get("type") for script in scripts] == ["application/json"], path, "has scripts", scripts)
    for element in root.iter():
        for name, value in element.attrib.items():
            must(not name.startswith("on"), path, "has a handler", name)
            if name in ("href", "src", "action", "data", "srcset"):
                must(value.startswith(("#", "data:")), path, "leads away:", value)
    ids = [element.get("id") for element in root.iter() if element.get("id")]
    must(len(ids) == len(set(ids)), path, "has an id twice")
    for element in root.iter("a"):
        if element.get("href").startswith("#"):
            must(element.get("href")[1:] in ids, path, "has a dead link", element.get("href"))
    data = json.loads(scripts[0].text)
    link = [element for element in root.iter("a") if element.get("download")][0]
    must(json.loads(base64.b64decode(link.get("href").split(",", 1)[1])) == data, path, "saves other data than it has")
    known = [data["waterfall"]] if "waterfall" in data else []
    for process in data.get("processes", []):
        looks = [look["waterfall"] for look in process["looks"].values() if look]
        known += [process["waterfall"], *looks]
    for waterfall in known:
        must(sum(row["bytes"] for row in waterfall["rows"]) == waterfall["rss_bytes"], path, "data does not add up")
    sums = [waterfall["rss_bytes"] for waterfall in known]
    tables = [element for element in root.iter("table") if "waterfall" in (element.get("class") or "")]
    must(bool(tables) == bool(known), path, "has no waterfall")
    for table in tables:
        rows = {row.get("data-key"): int(row.get("data-bytes")) for row in table.iter("tr") if row.get("data-key")}
        rss = rows.pop("rss")
        must(sum(rows.values()) == rss and "unexplained" in rows, path, "has a waterfall that does not sum to RSS", rows, rss)
        must(rss in sums, path, "has other sums than its data", rss)
        # The bars as drawn: each begins where the one before ended, and their lengths are their shares.
        at = 0
        for row in table.find("tbody"):
            bar = row.find(".//svg")[1]
            place = float(bar.get("x").rstrip("%"))
            must(abs(place - 100 * at / max(rss, 1)) < 0.01, path, "has a bar at the wrong place", row.get("data-key"))
            share = 100 * int(row.get("data-bytes")) / max(rss, 1)
            must(abs(float(bar.get("width").rstrip("%")) - share) < 0.2, path, "has a wrong bar", row.get("data-key"))
            at += int(row.get("data-bytes"))
    return data


def pixels(png):
    """Width, height and rows of RGB of a PNG as chromium writes it."""
    at, parts = 8, b""
    while at < len(png):
        size, kind = struct.unpack(">I4s", png[at:at + 8])
        body = png[at + 8:at + 8 + size]
        if kind == b"IHDR":
            width, height, depth, colour = struct.unpack(">IIBB", body[:10])
            must(depth == 8 and colour in (2, 6), "a PNG of another kind")
        parts += body if kind == b"IDAT" else b""
        at += size + 12
    channels = 3 if colour == 2 else 4
    raw, stride, before, rows = zlib.decompress(parts), width * channels, bytearray(width * channels), []
    for y in range(height):
        start = y * (stride + 1)
        kind, line = raw[start], bytearray(raw[start + 1:start + 1 + stride])
        for i in range(stride if kind else 0):
            left = line[i - channels] if i >= channels else 0
            up = before[i]
            corner = before[i - channels] if i >= channels else 0
            if kind == 4:
                guess = left + up - corner
                near = min((abs(guess - left), 0, left), (abs(guess - up), 1, up), (abs(guess - corner), 2, corner))[2]
            else:
                near = (0, left, up, (left + up) // 2)[kind]
            line[i] = (line[i] + near) & 255
        rows.append(line)
        before = line
    return width, height, channels, rows


def check_picture(png, is_dark, name):
    """Something is drawn, in several colours, on a ground of the right brightness."""
    width, height, channels, rows = pixels(png)
    colours, count = {}, 0
    for line in rows[::4]:
        for x in range(0, width * channels, channels * 4):
            colour = bytes(line[x:x + 3])
            colours[colour] = colours.get(colour, 0) + 1
            count += 1
    ground, most = max(colours.items(), key=lambda item: item[1])
    brightness = sum(ground) / 3
    must(brightness < 60 if is_dark else brightness > 200, name, "has a ground of", ground.hex())
    must(len(colours) > 40 and most < 0.97 * count, name, "is nearly blank:", len(colours), "colours,", most, "of", count)
    vivid = sum(1 for colour in colours if max(colour) - min(colour) > 80)
    must(vivid >= 1, name, "has no colour")


CONTRAST = """(() => {
  const parse = text => text.match(/[\\d.]+/g).map(Number);
  const light = rgb => { const c = rgb.slice(0, 3).map(v => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
                         return .2126 * c[0] + .7152 * c[1] + .0722 * c[2]; };
  const ground = node => { for (; node; node = node.parentElement) { const c = parse(getComputedStyle(node).backgroundColor);
                           if (c.length < 4 || c[3] > 0) return c; } return [255, 255, 255]; };
  let worst = [99, ''];
  for (const node of document.querySelectorAll('main *, header *')) {
    const own = [...node.childNodes].some(child => child.nodeType === 3 && child.data.trim());
    if (!own || node.closest('svg, script, title')) continue;
    const [a, b] = [light(parse(getComputedStyle(node).color)), light(ground(node))];
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (ratio < worst[0]) worst = [ratio, node.outerHTML.slice(0, 90)];
  }
  return worst; })()"""


def image(browser, width, height, scale):
    clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": scale}
    return base64.b64decode(browser.ask("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)["data"])


MODES = (("light", 1280, False), ("phone-dark", 390, True), ("dark", 1280, True), ("phone", 390, False))


def show(browser, path, folder, modes, whole):
    browser.events.clear()
    address = "file://" + os.path.abspath(path)
    browser.ask("Page.navigate", url=address)
    browser.wait_for("Page.loadEventFired")
    stem = os.path.join(folder, os.path.splitext(os.path.basename(path))[0])
    for name, width, is_dark in modes:
        browser.ask("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 500)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}
        browser.ask("Emulation.setEmulatedMedia", media="", features=[scheme])
        shown = browser.value("[document.documentElement.scrollWidth, innerWidth, document.body.scrollHeight]")
        must(shown[0] <= shown[1] == width, path, name, "is wider than its window:", shown)
        contrast = browser.value(CONTRAST)
        must(contrast[0] >= 4.5, path, name, "has text that cannot be read:", contrast)
        picture = image(browser, width, min(shown[2], 1500), 0.5)
        check_picture(picture, is_dark, f"{path} {name}")
        if whole:
            picture = image(browser, width, shown[2], 1)
        open(f"{stem}-{name}.png", "wb").write(picture)
    check_keyboard(browser, path)
    check_tree(browser, path)
    check_saving(browser, path, folder)
    # On paper a dark page is a light one, and what is folded for the screen but belongs to the report is there.
    browser.ask("Emulation.setEmulatedMedia", media="print", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    ground = browser.value("getComputedStyle(document.body).backgroundColor")
    must(sum(int(part) for part in ground.strip("rgb()").split(",")) > 600, path, "is dark on paper:", ground)
    inks = browser.value("[...document.querySelectorAll('svg text')].map(t => getComputedStyle(t).fill)")
    bright = [ink for ink in inks if sum(int(part) for part in ink.strip("rgb()").split(",")) > 450]
    must(not bright, path, "has pale text in a picture on paper:", bright[:3])
    folded = browser.value("[...document.querySelectorAll('details.shown')].map(d => d.lastElementChild.checkVisibility("
                           "{contentVisibilityAuto: true}) && d.lastElementChild.getBoundingClientRect().height > 0)")
    must(all(folded), path, "hides parts of itself on paper:", folded)
    paper = base64.b64decode(browser.ask("Page.printToPDF", printBackground=False)["data"])
    open(f"{stem}.pdf", "wb").write(paper)
    must(paper.startswith(b"%PDF") and len(paper) > 20000, path, "prints", len(paper), "bytes")
    must(1 <= paper.count(b"/Type /Page\n") <= 40, path, "prints", paper.count(b"/Type /Page\n"), "pages")
    # Everything that it asked for and everything that it said, all the while.
    asked = [event["params"]["request"]["url"] for event in browser.events if event["method"] == "Network.requestWillBeSent"]
    must(all(url == address or url.startswith("data:") for url in asked), path, "asks for", asked)
    said = [event for event in browser.events
            if event["method"] in ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown")]
    must(not said, path, "says", json.dumps(said)[:2000])
    must(address in asked, path, "was not seen to be loaded: the check of requests is blind")


def check_saving(browser, path, folder):
    """The link saves the data that the page has."""
    browser.ask("Page.setDownloadBehavior", behavior="allow", downloadPath=os.path.abspath(folder))
    saved = os.path.join(folder, browser.value("document.querySelector('a[download]').download"))
    browser.ask("Runtime.evaluate", expression="document.querySelector('a[download]').click()", userGesture=True)
    end = time.monotonic() + PATIENCE
    while not os.path.exists(saved):
        must(time.monotonic() < end, path, "saves nothing")
        time.sleep(0.05)
    inside = json.loads(browser.value("document.getElementById('data').textContent"))
    must(json.load(open(saved)) == inside, path, "saves other data than it has")
    os.remove(saved)


def check_keyboard(browser, path):
    """Every fold opens by the keyboard."""
    browser.value("document.querySelector('details summary')?.focus()")
    before = browser.value("document.activeElement.tagName === 'SUMMARY' && document.activeElement.parentElement.open")
    for kind in ("keyDown", "keyUp"):
        browser.ask("Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter", text="\r" if kind == "keyDown" else "",
                    windowsVirtualKeyCode=13)
    after = browser.value("document.activeElement.tagName === 'SUMMARY' && document.activeElement.parentElement.open")
    must(before is False and after is True, path, "does not unfold by the keyboard:", before, after)


def check_tree(browser, path):
    """What a screen reader gets: one heading of the first level, tables as tables, pictures with names."""
    browser.ask("Accessibility.enable")
    nodes = browser.ask("Accessibility.getFullAXTree")["nodes"]
    role = lambda node: node.get("role", {}).get("value")
    named = lambda node: node.get("name", {}).get("value")
    roles = {}
    for node in nodes:
        if not node.get("ignored"):
            roles.setdefault(role(node), []).append(node)
    must("table" in roles and "navigation" in roles and "main" in roles, path, "lacks landmarks:", sorted(map(str, roles)))
    must(len(browser.value("[...document.querySelectorAll('h1')].map(h => h.textContent)")) == 1, path, "has no single title")
    for node in [*roles.get("image", []), *roles.get("img", [])]:
        must(named(node), path, "has a picture without a name")


def main():
    words = sys.argv[1:]
    whole = words[:1] == ["--whole"]
    folder, *pages = words[whole:]
    must(pages, "no page was given")
    for page in pages:
        check_document(page)
    # Where the home may not be written, it would say so instead of starting.
    # Its helpers may still write there when it has ended.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        os.environ["HOME"] = profile
        browser = Browser(profile)
        target = browser.ask("Target.createTarget", url="about:blank")["targetId"]
        browser.session = browser.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Log", "Runtime"):
            browser.ask(domain + ".enable")
        browser.events.clear()
        # The check of what a page says is no blind one.
        browser.value("console.error('heard')")
        must(any(event["method"] == "Runtime.consoleAPICalled" for event in browser.events), "the console is not heard")
        for number, page in enumerate(pages):
            # Colours and widths are the same for all; the first two stand for the others in the rest of the modes.
            show(browser, page, folder, MODES if whole or number < 2 else MODES[:2], whole)
        browser.close()
    print(f"{len(pages)} pages shown")


main()
