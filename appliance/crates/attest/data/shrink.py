#!/usr/bin/env python3
"""Makes the files of this folder from the official schemas.

    ./shrink.py CYCLONEDX SPDX3

CYCLONEDX is the folder `cyclonedx/schema/_res` of PyPI's cyclonedx-python-lib, SPDX3 the
JSON schema of SPDX 3.0.1 (`data/spdx-export.schema.json` of npm's @cyclonedx/cdxgen).
What documents are checked against stays as it is; texts for people go. README.md says
what is changed besides.
"""

import json
import pathlib
import sys
import xml.etree.ElementTree as ET

HERE = pathlib.Path(__file__).parent
XS = "{http://www.w3.org/2001/XMLSchema}"
TEXTS = {"description", "title", "$comment", "examples", "meta:enum", "default", "deprecated"}
MANY = None


def shrink(node):
    """Leaves out a schema's texts; members named by `properties` are no texts."""
    if isinstance(node, list):
        return [shrink(item) for item in node]
    if not isinstance(node, dict):
        return node
    kept = {}
    for name, value in node.items():
        if name in ("properties", "$defs", "definitions", "patternProperties"):
            kept[name] = {inner: shrink(schema) for inner, schema in value.items()}
        elif name in ("enum", "const", "required"):
            kept[name] = value
        elif name == "$ref":
            kept[name] = value.replace(".SNAPSHOT", "")
        elif name == "pattern" and value == "^(?!_:).+:.+":
            # The same texts without looking ahead, so that matching takes linear time.
            kept[name] = "^([^_]|_[^:]).*:.+"
        elif name not in TEXTS:
            kept[name] = shrink(value)
    return kept


def write(name, value):
    """Writes a file as one line."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    (HERE / name).write_text(text + "\n", encoding="utf-8")


class Model:
    """What elements and types an XML schema has."""

    def __init__(self, path):
        self.root = ET.parse(path).getroot()
        self.named = {}
        self.types = {}
        self.groups = {}
        for node in self.root:
            if node.tag in (XS + "complexType", XS + "simpleType"):
                self.named[node.get("name")] = node
            elif node.tag == XS + "attributeGroup":
                self.groups[node.get("name")] = node

    def make(self):
        """Returns the model: the type of `bom` and all types that it needs."""
        (bom,) = (n for n in self.root if n.tag == XS + "element" and n.get("name") == "bom")
        first = self.element_type(bom, "bom")
        return {"root": first, "types": self.types}

    def element_type(self, element, place):
        """Returns the name of an element's type, making the type."""
        name = element.get("type")
        if name is not None:
            return self.named_type(name)
        for child in element:
            if child.tag == XS + "complexType":
                return self.complex(child, place)
            if child.tag == XS + "simpleType":
                return self.simple(child, place)
        return self.builtin("xs:anyType")

    def named_type(self, name):
        """Returns the name of a type that the schema names."""
        if name.startswith("xs:"):
            return self.builtin(name)
        if name.startswith("spdx:"):
            self.types.setdefault("licenseId", {"text": {"enum": LICENSES}})
            return "licenseId"
        name = name.removeprefix("bom:")
        if name in self.types:
            return name
        node = self.named[name]
        return self.complex(node, name) if node.tag == XS + "complexType" else self.simple(node, name)

    def builtin(self, name):
        """Returns the name of one of XML Schema's own types."""
        if name == "xs:anyType":
            self.types.setdefault(name, {"any": True, "text": {}})
        else:
            self.types.setdefault(name, {"text": {"base": name.removeprefix("xs:")}})
        return name

    def simple(self, node, place):
        """Makes a type that is text."""
        self.types[place] = {"text": self.text(node)}
        return place

    def text(self, node):
        """Returns what a simple type allows."""
        (inner,) = (child for child in node if child.tag != XS + "annotation")
        if inner.tag == XS + "union":
            members = [self.text(child) for child in inner if child.tag == XS + "simpleType"]
            for name in (inner.get("memberTypes") or "").split():
                members.append(self.text_of(name))
            return {"one_of": members}
        base = inner.get("base")
        kept = dict(self.text_of(base)) if base else {}
        values = [c.get("value") for c in inner if c.tag == XS + "enumeration"]
        if values:
            kept["enum"] = values
        patterns = [c.get("value") for c in inner if c.tag == XS + "pattern"]
        if patterns:
            kept["patterns"] = patterns
        return kept

    def text_of(self, name):
        """Returns what a simple type allows, by name."""
        made = self.types[self.named_type(name)]
        return made.get("text", {})

    def complex(self, node, place):
        """Makes a type with attributes, children or both."""
        made = {}
        self.types[place] = made
        if node.get("mixed") == "true":
            made["text"] = {}
        self.content(node, made, place, 1, 1)
        return place

    def content(self, node, made, place, least, most):
        """Adds what a part of a complex type allows."""
        for child in node:
            tag = child.tag.removeprefix(XS)
            if tag == "element":
                name = child.get("name") or child.get("ref").removeprefix("bom:")
                inner = self.element_type(child, f"{place}/{name}")
                low = int(child.get("minOccurs", "1")) * least
                high = child.get("maxOccurs", "1")
                high = MANY if high == "unbounded" or most is MANY else int(high) * most
                known = made.setdefault("children", {}).get(name)
                if known:
                    low, high = 0, MANY if known[2] is MANY or high is MANY else known[2] + high
                made["children"][name] = [inner, low, high]
            elif tag in ("sequence", "all"):
                low = 0 if child.get("minOccurs") == "0" else least
                high = MANY if child.get("maxOccurs") == "unbounded" else most
                self.content(child, made, place, low, high)
            elif tag == "choice":
                high = MANY if child.get("maxOccurs") == "unbounded" else most
                self.content(child, made, place, 0, high)
            elif tag == "any":
                made["foreign"] = True
            elif tag in ("attribute", "attributeGroup") and child.get("ref"):
                self.content(self.groups[child.get("ref").removeprefix("bom:")], made, place, 1, 1)
            elif tag == "attribute":
                kind = child.get("type")
                inline = [c for c in child if c.tag == XS + "simpleType"]
                text = self.text(inline[0]) if inline else self.text_of(kind)
                required = child.get("use") == "required"
                made.setdefault("attributes", {})[child.get("name")] = [text, required]
            elif tag in ("simpleContent", "complexContent"):
                self.content(child, made, place, least, most)
            elif tag in ("extension", "restriction"):
                base = self.types[self.named_type(child.get("base"))]
                for part in ("children", "attributes"):
                    made.setdefault(part, {}).update(base.get(part, {}))
                for part in ("text", "foreign"):
                    if part in base:
                        made[part] = base[part]
                self.content(child, made, place, least, most)
            elif tag not in ("annotation", "anyAttribute", "assert", "unique"):
                raise ValueError(f"{place}: {child.tag}")


def main(cyclonedx, spdx3):
    """Makes every file."""
    global LICENSES
    for name in ("spdx", "jsf-0.82", "cryptography-defs"):
        with open(cyclonedx / f"{name}.SNAPSHOT.schema.json", encoding="utf-8") as file:
            schema = json.load(file)
        if name == "spdx":
            LICENSES = schema["enum"]
        write(f"{name}.schema.json", shrink(schema))
    for version in range(2, 8):
        path = cyclonedx / f"bom-1.{version}.SNAPSHOT.schema.json"
        with open(path, encoding="utf-8") as file:
            write(f"bom-1.{version}.schema.json", shrink(json.load(file)))
        model = Model(cyclonedx / f"bom-1.{version}.SNAPSHOT.xsd").make()
        # The list of licences is one of its own.
        if "licenseId" in model["types"]:
            model["types"]["licenseId"] = {"text": {"licence": True}}
        text = json.dumps(model).replace(json.dumps(LICENSES), "null")
        write(f"bom-1.{version}.xml.json", json.loads(text))
    with open(spdx3, encoding="utf-8") as file:
        write("spdx-3.0.1.schema.json", shrink(json.load(file)))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
