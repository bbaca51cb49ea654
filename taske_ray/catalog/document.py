"""Documents as people write them: the YAML profile of the format (section 1), read into plain JSON values."""

import json
from typing import Any, Final

import yaml

from taske_ray.errors import Invalid

most_bytes: Final = 1024 * 1024
_values_per_mib: Final = 100_000
_booleans: Final = {"true": True, "false": False}


class _Loader(yaml.SafeLoader):
    """Safe types only: a key written twice is an error, only `true` and `false` are booleans, dates stay text."""


def _read_mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    written = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.value != "<<"]
    twice = {key for key in written if written.count(key) > 1} if len(set(written)) < len(written) else set()
    if twice:
        problem = f"the key '{min(twice)}' is written twice"
        raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
    loader.flatten_mapping(node)
    return {
        loader.construct_object(key, deep=True): loader.construct_object(part, deep=True) for key, part in node.value
    }


def _read_boolean(_: _Loader, node: yaml.ScalarNode) -> Any:
    """YAML 1.1 reads `on`, `yes` and their like as booleans; here they are text."""
    return _booleans.get(str(node.value), str(node.value))


def _read_integer(_: _Loader, node: yaml.ScalarNode) -> Any:
    """Decimal integers; `0o17`, `1_000` and `12:30` (base 60 in YAML 1.1) are text."""
    text = str(node.value)
    digits = text.removeprefix("-").removeprefix("+")
    is_decimal = digits.isdecimal() and digits.isascii() and (digits == "0" or not digits.startswith("0"))
    return int(text) if is_decimal else text


def _read_float(_: _Loader, node: yaml.ScalarNode) -> Any:
    """Decimal numbers; infinity, not-a-number and base 60 are text, because JSON has none."""
    text = str(node.value)
    try:
        number = float(text)
    except ValueError:
        return text
    return number if number - number == 0 and "_" not in text else text


_Loader.add_constructor("tag:yaml.org,2002:map", _read_mapping)
_Loader.add_constructor("tag:yaml.org,2002:bool", _read_boolean)
_Loader.add_constructor("tag:yaml.org,2002:int", _read_integer)
_Loader.add_constructor("tag:yaml.org,2002:float", _read_float)
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def parse_document(text: str, *, most_bytes: int = most_bytes) -> dict[str, Any]:
    """A JSON or YAML document; JSON is read as such, which is a hundred times faster. Raises `Invalid`."""
    if text.lstrip().startswith("{") and len(text) <= most_bytes:
        try:
            found = json.loads(text, object_pairs_hook=_once)
        except (ValueError, RecursionError):
            return parse_yaml(text, most_bytes=most_bytes)  # YAML in braces, or an error that it can name
        if isinstance(found, dict):
            return found
    return parse_yaml(text, most_bytes=most_bytes)


def _once(members: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(members)
    if len(found) < len(members):
        raise ValueError("a key is written twice")
    return found


def write_yaml(document: dict[str, Any]) -> str:
    """A document as people edit it: keys in their order, wide lines, no anchors."""
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        """Say everything where it stands."""
        del data
        return True


def parse_yaml(text: str, *, most_bytes: int = most_bytes) -> dict[str, Any]:
    """One document as JSON values. Raises `Invalid` (with the line, where there is one) for what is none."""
    if len(text.encode("utf-8", "surrogatepass")) > most_bytes:
        raise Invalid(f"the document is larger than {most_bytes // 1024 // 1024} MiB")
    loader = _Loader(text)
    try:
        found = loader.get_single_data()
    except (yaml.YAMLError, RecursionError, TypeError, ValueError) as error:
        raise Invalid(f"not a YAML document: {error}") from None
    finally:
        loader.dispose()
    if not isinstance(found, dict):
        raise Invalid("the document must be one object")
    _check_json(found, most_values=_values_per_mib * max(1, most_bytes // 1024 // 1024))
    return found


def _check_json(found: Any, most_values: int) -> None:
    """Refuses what JSON cannot say, and anchors that multiply into more values than anyone wrote."""
    waiting, seen = [found], 0
    while waiting:
        value = waiting.pop()
        seen += 1
        if seen > most_values:
            raise Invalid(f"the document has more than {most_values} values")
        if isinstance(value, dict):
            if not all(isinstance(key, str) for key in value):
                raise Invalid("every key must be a text: quote numbers and true or false")
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
        elif not isinstance(value, (str, int, float, bool, type(None))):
            raise Invalid(f"only JSON values are accepted, not {type(value).__name__}")
