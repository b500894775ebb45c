"""Reads a page of the runner with a strict parser: it must be one well-formed document that neither runs nor loads anything, and
every address in it is a place of its own. Each cell of its tables is printed on a line."""
import re
import sys
import xml.etree.ElementTree as tree

DOCTYPE = "<!DOCTYPE html>\n"
page = open(sys.argv[1], encoding="utf-8").read()
assert page.startswith(DOCTYPE), page[:40]
root = tree.fromstring(page[len(DOCTYPE):])
assert root.tag == "html" and root.get("lang"), "no html element with a language"
ids = [node.get("id") for node in root.iter() if node.get("id")]
assert len(ids) == len(set(ids)), "two places have one name"
for node in root.iter():
    assert node.tag not in ("script", "iframe", "object", "embed", "base", "form", "img", "image", "use"), node.tag
    for name, value in node.attrib.items():
        assert not name.startswith("on"), name
        if name in ("href", "src", "data", "action", "poster", "srcset"):
            assert value == "data:," or value[:1] == "#" and value[1:] in ids, value
    if node.get("data-cell"):
        print("cell", node.get("data-cell"), "=", "".join(node.itertext()))
for style in root.iter("style"):
    assert "@import" not in style.text and "//" not in style.text
    assert all(address.startswith("#") for address in re.findall(r"url\((.*?)\)", style.text)), "a style sheet loads something"
for tag in ("h1", "main", "nav"):
    assert len(list(root.iter(tag))) == 1, tag
