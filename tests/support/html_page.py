"""A page read back with a parser."""

from html.parser import HTMLParser

VOID = {"meta", "link", "img", "input", "br", "hr"}
ATTACK = '<script>alert("1")</script>'


class Page(HTMLParser):
    """Elements with attributes and own text, in order; checks that tags are balanced."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[dict] = []
        self.open: list[dict] = []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        element = {"tag": tag, "attrs": dict(attrs), "text": ""}
        self.elements.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag, attrs):
        self.elements.append({"tag": tag, "attrs": dict(attrs), "text": ""})

    def handle_endtag(self, tag):
        assert self.open.pop()["tag"] == tag

    def handle_data(self, data):
        for element in self.open:
            element["text"] += data

    def all(self, tag: str, css: str | None = None) -> list[dict]:
        return [
            found
            for found in self.elements
            if found["tag"] == tag and (css is None or css in (found["attrs"].get("class") or "").split())
        ]

    def texts(self, tag: str, css: str | None = None) -> list[str]:
        return [" ".join(found["text"].split()) for found in self.all(tag, css)]
