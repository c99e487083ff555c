"""A form with files to a tree and back: strict multipart/form-data (RFC 7578, RFC 2046 section 5.1).

As with JSON, what a provider receives is our own serialisation of the tree that policy and redactor
saw. Accepted is only what every parser reads alike, and what the official client writes: no preamble,
no epilogue, no padding, no header but two, no name twice. In the tree
  a text field                      is a string
  `name[]`, once or more            is a list of strings under `name`
  `name[key]`                       is an object under `name`
  a file                            is {"filename", "content_type", "data"}, `data` in base64
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass

from providers.document import Document, NotStrict, Value

MAX_PARTS = 1000
MAX_HEAD = 2048

_CONTENT_TYPE = re.compile(
    r"multipart/form-data; ?boundary=(?:\"([A-Za-z0-9'()+_,./:=?-]{1,70})\"|([A-Za-z0-9'+_.-]{1,70}))", re.IGNORECASE
).fullmatch
_DISPOSITION = re.compile(r'form-data; name="([^"\\\x00-\x1f\x7f]*)"(?:; filename="([^"\\\x00-\x1f\x7f]*)")?').fullmatch
# No backslash above: parsers differ in whether it quotes the mark after it.
_NAME = re.compile(r"([A-Za-z0-9_]{1,64})(\[[A-Za-z0-9_]{0,64}\])?").fullmatch
_MEDIA = re.compile(r"[a-z0-9.+-]{1,64}/[a-z0-9.+-]{1,64}").fullmatch
_TEXT_TYPES = ("text/plain", "text/plain; charset=utf-8")
_FILE_KEYS = {"filename", "content_type", "data"}


@dataclass(frozen=True, slots=True)
class _Part:
    name: str
    value: Value


def parse(content_type: str, body: bytes) -> Document:
    """Read one strict form.

    Args:
        content_type: the request's header, which names the boundary.
        body: the whole form; the caller bounds its size.

    Raises:
        NotStrict: for anything else; the message says what, never which value.
    """
    match = _CONTENT_TYPE(content_type)
    if match is None:
        raise NotStrict("the content type is not multipart/form-data with a plain boundary")
    delimiter = b"\r\n--" + (match[1] or match[2]).encode("ascii")
    pieces = (b"\r\n" + body).split(delimiter, MAX_PARTS + 2)
    if len(pieces) > MAX_PARTS + 2:
        raise NotStrict(f"the form has more than {MAX_PARTS} parts")
    if len(pieces) < 3 or pieces[0]:
        raise NotStrict("the form does not begin with its boundary, or has no part")
    if pieces[-1] not in (b"--", b"--\r\n"):
        raise NotStrict("the form does not end with its boundary")
    document: Document = {}
    for piece in pieces[1:-1]:
        _put(document, _part(piece))
    return document


def build(document: Document) -> tuple[str, bytes]:
    """The content type and the bytes of a form with what `parse` gives.

    The boundary is the first of a fixed series that occurs in no value, so equal trees give equal bytes.

    Raises:
        NotStrict: the tree holds what a form cannot say.
    """
    parts: list[tuple[bytes, bytes]] = []
    for name, value in document.items():
        if isinstance(value, dict) and value.keys() >= {"data"}:
            parts.append(_written_file(name, value))
        elif isinstance(value, dict):
            parts.extend(_written_text(f"{name}[{key}]", item) for key, item in value.items())
        elif isinstance(value, list):
            parts.extend(_written_text(f"{name}[]", item) for item in value)
        else:
            parts.append(_written_text(name, value))
    series = 0
    while any(f"form-{series}".encode() in content for part in parts for content in part):
        series += 1
    boundary = f"form-{series}"
    out = [b"--%s\r\n%s\r\n\r\n%s\r\n" % (boundary.encode(), head, content) for head, content in parts]
    return f"multipart/form-data; boundary={boundary}", b"".join(out) + f"--{boundary}--\r\n".encode()


# --- reading ------------------------------------------------------------------------------------


def _part(piece: bytes) -> _Part:
    head, gap, content = piece.partition(b"\r\n\r\n")
    if not gap or not head.startswith(b"\r\n") or len(head) > MAX_HEAD:
        raise NotStrict("a part of the form has no head, or one that is too long")
    headers = _headers(head[2:])
    match = _DISPOSITION(headers.get("content-disposition", ""))
    if match is None:
        raise NotStrict("a part of the form has no plain content-disposition")
    name, filename = match[1], match[2]
    media = headers.get("content-type")
    if filename is None:
        if media is not None and media.lower() not in _TEXT_TYPES:
            raise NotStrict("a text field of the form is not text/plain in UTF-8")
        return _Part(name, _utf8(content))
    media = "application/octet-stream" if media is None else media.lower()
    if not _MEDIA(media):
        raise NotStrict("a file of the form has no plain content type")
    return _Part(
        name,
        {"filename": filename, "content_type": media, "data": base64.b64encode(content).decode("ascii")},
    )


def _headers(head: bytes) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in _utf8(head).split("\r\n"):
        name, colon, value = line.partition(": ")
        name = name.lower()
        if not colon or name not in ("content-disposition", "content-type") or name in headers:
            raise NotStrict("a part of the form has a header that is not expected, or one twice")
        headers[name] = value
    return headers


def _put(document: Document, part: _Part) -> None:
    match = _NAME(part.name)
    if match is None:
        raise NotStrict("a field of the form has a name that is no plain word")
    name, index = match[1], match[2]
    if index is None:
        if name in document:
            raise NotStrict("the form names a field twice")
        document[name] = part.value
        return
    if not isinstance(part.value, str):
        raise NotStrict("a file of the form stands in a list")
    holder = document.setdefault(name, [] if index == "[]" else {})
    if index == "[]" and type(holder) is list:
        holder.append(part.value)
        return
    key = index[1:-1]
    # `data` would make the object a file when it is written back.
    if type(holder) is not dict or not key or key in holder or key in _FILE_KEYS or "data" in holder:
        raise NotStrict("the form names a field twice, or in two ways")
    holder[key] = part.value


def _utf8(data: bytes) -> str:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise NotStrict("the form is not in UTF-8") from None
    if "\0" in text:
        raise NotStrict("the form holds a NUL character")
    return text


# --- writing ------------------------------------------------------------------------------------


def _written_text(name: str, value: Value) -> tuple[bytes, bytes]:
    if not isinstance(value, str):
        raise NotStrict("a form holds text and files only")
    return f'Content-Disposition: form-data; name="{_quoted(name)}"'.encode(), _encoded(value)


def _written_file(name: str, file: Document) -> tuple[bytes, bytes]:
    filename, media, data = (file.get(key) for key in ("filename", "content_type", "data"))
    filename = "file" if filename is None else filename
    media = "application/octet-stream" if media is None else media
    if not (isinstance(filename, str) and isinstance(media, str) and isinstance(data, str) and _MEDIA(media)):
        raise NotStrict("a file of the form lacks its data, or has no plain content type")
    try:
        content = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise NotStrict("a file of the form is not in base64") from None
    head = f'Content-Disposition: form-data; name="{_quoted(name)}"; filename="{_quoted(filename)}"'
    return _encoded(f"{head}\r\nContent-Type: {media}"), content


def _quoted(text: str) -> str:
    """A name or file name as the standard escapes it (WHATWG HTML, multipart/form-data encoding)."""
    return text.replace("\r", "%0D").replace("\n", "%0A").replace('"', "%22")


def _encoded(text: str) -> bytes:
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        raise NotStrict("the form holds a lone surrogate") from None
