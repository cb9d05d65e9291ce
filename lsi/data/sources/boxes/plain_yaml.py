"""The little of YAML that descriptions of data use: a mapping of texts, lists and mappings of texts, one level down."""

import re
from typing import Any

from lsi.errors import DataError

_TOP = re.compile(r"""(?P<key>"[^"]*"|'[^']*'|[^\s#:'"\[{-][^:#]*?)\s*:(?:\s+(?P<value>.*)|\s*)$""")
_ITEM = re.compile(r"""\s*-(?:\s+(?P<value>.*)|\s*)$""")
_PAIR = re.compile(r"""\s+(?P<key>"[^"]*"|'[^']*'|[^\s#:'"\[{-][^:#]*?)\s*:(?:\s+(?P<value>.*)|\s*)$""")
_TOKEN = re.compile(
    r"""\s*("(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[\[\]{},]|:(?=\s|$)|(?!["'])(?:[^\[\]{},:\s]|:(?!\s|$)|\s+(?=[^\s\[\]{},:]))+)\s*"""
)
_QUOTED = re.compile(r"""\"(?:[^"\\]|\\.)*"|'(?:[^']|'')*'""")
_ESCAPE = re.compile(r"\\(?:x([\da-fA-F]{2})|u([\da-fA-F]{4})|U(00(?:0[\da-fA-F]|10)[\da-fA-F]{4})|(.))")
_ESCAPES = {"0": "\0", "a": "\a", "b": "\b", "t": "\t", "n": "\n", "v": "\v", "f": "\f", "r": "\r", "e": "\x1b",
            "N": "\x85", "_": "\xa0", "L": "\u2028", "P": "\u2029"}  # fmt: skip
Value = str | None | list[Any] | dict[str, Any]


def read_plain_yaml(text: str, wanted: tuple[str, ...], where: str) -> dict[str, Value]:
    """Return the values of some keys at the top of a YAML file; all values are texts, lists and mappings of them.

    Numbers and truth values stay the text that stands there: a class may be called no.

    Args:
        text: of the file.
        wanted: keys; whatever else the file holds is passed over.
        where: what a message names.

    Raises:
        DataError: the value of a key is written in a way that is not known here; the message has its line.
    """
    lines = [_without_comment(line) for line in text.replace("\t", " ").splitlines()]
    found: dict[str, Value] = {}
    number = 0
    while number < len(lines):
        match = _TOP.match(lines[number])
        start, number = number, number + 1
        if match is None or (key := _scalar(match["key"])) not in wanted:
            continue
        value = (match["value"] or "").strip()
        while number < len(lines) and not _ends_here(value, lines[number]):
            if value[:1] in ("[", "{"):
                value += " " + lines[number].strip()
            number += 1
        at = f"{where}, line {start + 1}"
        found[str(key)] = _flow(value, at) if value else _block(lines[start + 1 : number], at)
    return found


def _ends_here(value: str, following: str) -> bool:
    """Say whether a value ends before the line that follows."""
    if value[:1] in ("[", "{"):
        bare = _QUOTED.sub("", value)
        return bare.count("[") + bare.count("{") <= bare.count("]") + bare.count("}")
    return bool(following.strip()) and (following.startswith("---") or not following.startswith((" ", "-")))


def _block(lines: list[str], where: str) -> Value:
    """Return a list of lines that begin with a dash, or a mapping of lines that are indented."""
    lines = [line for line in lines if line.strip()]
    if not lines:
        return None
    depth = _indent(lines[0])
    lines = [line for line in lines if _indent(line) <= depth]
    items = [_ITEM.match(line) for line in lines]
    if all(items):
        return [_flow((item["value"] or "").strip(), where) for item in items if item]
    pairs = [_PAIR.match(line) for line in lines]
    if all(pairs):
        return {str(_scalar(pair["key"])): _flow((pair["value"] or "").strip(), where) for pair in pairs if pair}
    raise DataError(f"{where}: expected a list or a mapping, got {lines[0].strip()!r}.")


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _flow(text: str, where: str) -> Value:
    """Return a text, a list in brackets or a mapping in braces."""
    if text[:1] not in ("[", "{"):
        return _scalar(text)
    tokens: list[str] = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise DataError(f"{where}: expected a list or a mapping, got {text!r}.")
        tokens.append(match[1])
        at = match.end()
    try:
        value = _taken(tokens)
    except (IndexError, RecursionError):
        value = None
    if value is None or tokens:
        raise DataError(f"{where}: expected a list or a mapping, got {text!r}.")
    return value


def _taken(tokens: list[str]) -> Value:
    """Return the value that the tokens begin with, and take its tokens away."""
    opening = tokens.pop(0)
    if opening in (",", ":", "]", "}"):
        raise IndexError("a value is missing")
    if opening not in ("[", "{"):
        return _scalar(opening)
    items: list[Any] = []
    pairs: dict[str, Any] = {}
    while tokens[0] not in ("]", "}"):
        item = _taken(tokens)
        items.append(item)
        if opening == "{" and tokens[0] == ":":
            tokens.pop(0)
            pairs[str(item)] = _taken(tokens)
        if tokens[0] == ",":
            tokens.pop(0)
    tokens.pop(0)
    return pairs if opening == "{" else items


def _scalar(text: str) -> str | None:
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] == "'":
        return text[1:-1].replace("''", "'")
    if len(text) > 1 and text[0] == text[-1] == '"':
        plain = _ESCAPE.sub(_unescaped, text[1:-1])
        return plain.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")  # JSON writes some as a pair
    return None if text in ("", "~", "null") else text


def _unescaped(found: re.Match[str]) -> str:
    code = found[1] or found[2] or found[3]
    return chr(int(code, 16)) if code else _ESCAPES.get(found[4], found[4])


def _without_comment(line: str) -> str:
    """Return a line up to its comment; a # within quotes or a word begins none."""
    quote, is_escaped = "", False
    for i, letter in enumerate(line):
        if is_escaped:
            is_escaped = False
        elif quote:
            is_escaped = quote == '"' and letter == "\\"
            quote = "" if letter == quote else quote
        elif letter in "\"'" and (i == 0 or line[i - 1] in " [{,:-" or line[i - 1] == letter):  # '' is one quote
            quote = letter
        elif letter == "#" and (i == 0 or line[i - 1].isspace()):
            return line[:i].rstrip()
    return line.rstrip()
