"""XML without document types and entities, as plain data; linear in its input and bounded in depth."""

from dataclasses import dataclass, field
from typing import Any, Final
from xml.parsers import expat

_deepest: Final = 100
_most_elements: Final = 100_000


@dataclass(slots=True)
class Element:
    """An element: local name, attributes by local name, text of its own, children in order."""

    name: str
    attributes: dict[str, str]
    texts: list[str] = field(default_factory=list)
    children: list["Element"] = field(default_factory=list)

    @property
    def text(self) -> str:
        """Its own text, white space around it removed."""
        return "".join(self.texts).strip()

    def all_text(self) -> str:
        """Its text with that of everything in it (an Atom title may hold markup)."""
        return "".join([*self.texts, *(child.all_text() for child in self.children)]).strip()

    def first(self, *names: str) -> "Element | None":
        """The first child with one of the names, in the order of the names."""
        return next((child for name in names for child in self.children if child.name == name), None)

    def every(self, name: str) -> "list[Element]":
        """All children of that name."""
        return [child for child in self.children if child.name == name]


class _Builder:
    def __init__(self) -> None:
        self.root: Element | None = None
        self._open: list[Element] = []
        self._count = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._count += 1
        if len(self._open) >= _deepest or self._count > _most_elements:
            raise ValueError("the XML is too deep or too large")
        element = Element(_local(name), {_local(key): value for key, value in attributes.items()})
        if self._open:
            self._open[-1].children.append(element)
        elif self.root is None:
            self.root = element
        self._open.append(element)

    def end(self, _: str) -> None:
        self._open.pop()

    def characters(self, text: str) -> None:
        if self._open:
            self._open[-1].texts.append(text)


def parse(text: str) -> Element:
    """The root element; ValueError for what is not XML, or holds a document type or an entity of its own."""
    parser = expat.ParserCreate("utf-8", " ")
    builder = _Builder()
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.characters
    parser.StartDoctypeDeclHandler = _refuse_doctype
    parser.buffer_text = True
    try:
        parser.Parse(text.encode("utf-8"), True)
    except expat.ExpatError as error:
        raise ValueError(f"not XML: {error}") from None
    if builder.root is None:
        raise ValueError("not XML: no element")
    return builder.root


def read_xml(text: str) -> dict[str, Any]:
    """`{root: …}`: attributes are `@name`, text `#text`, repeated children an array, an element of text that text."""
    root = parse(text)
    return {root.name: _data(root)}


def _data(element: Element) -> Any:
    data: dict[str, Any] = {f"@{name}": value for name, value in element.attributes.items()}
    for child in element.children:
        value = _data(child)
        if child.name not in data:
            data[child.name] = value
        elif isinstance(data[child.name], list):
            data[child.name].append(value)
        else:
            data[child.name] = [data[child.name], value]
    if not data:
        return element.text or None
    return {**data, "#text": element.text} if element.text else data


def _local(name: str) -> str:
    """A name without its namespace (the parser joins them with a space)."""
    return name.rpartition(" ")[2]


def _refuse_doctype(*_: Any) -> None:
    raise ValueError("a document type is not accepted")
