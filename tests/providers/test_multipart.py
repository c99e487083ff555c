"""Forms: what the official client sends goes through unchanged, what parsers could read two ways does not."""

from __future__ import annotations

import base64

import httpx2
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers import multipart
from providers.document import Document, NotStrict

SOUND = b"RIFF\x00\x01\r\n--form-0\r\n\xff"


def sent(**parameters: object) -> tuple[str, bytes]:
    """Content type and body that the official client makes of a transcription request."""
    seen: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        request.read()
        seen.append(request)
        return httpx2.Response(200, json={"text": ""})

    transport = httpx2.Client(transport=httpx2.MockTransport(answer))
    client = openai.OpenAI(api_key="key", base_url="http://provider.test/v1", http_client=transport)
    with client:
        client.audio.transcriptions.create(**parameters)  # type: ignore[call-overload]  # any parameters
    return seen[0].headers["content-type"], seen[0].content


def test_client_form_becomes_a_tree_and_a_form_again() -> None:
    """Every kind of field that the official client writes is read, and survives being written by us."""
    content_type, body = sent(
        file=("appel été.wav", SOUND),
        model="whisper-1",
        prompt="première\nligne",
        temperature=0.2,
        timestamp_granularities=["word", "segment"],
        keywords=["budget"],
        chunking_strategy={"type": "server_vad", "threshold": 0.5},
        stream=False,
    )

    tree = multipart.parse(content_type, body)

    assert tree == {
        "file": {
            "filename": "appel été.wav",
            "content_type": "audio/x-wav",
            "data": base64.b64encode(SOUND).decode(),
        },
        "model": "whisper-1",
        "prompt": "première\nligne",
        "temperature": "0.2",
        "timestamp_granularities": ["word", "segment"],
        "keywords": ["budget"],
        "chunking_strategy": {"type": "server_vad", "threshold": "0.5"},
        "stream": "false",
    }
    assert multipart.parse(*multipart.build(tree)) == tree


def test_client_form_without_a_file_name_gets_through() -> None:
    """Bare bytes, which the client names itself, are a file too."""
    tree = multipart.parse(*sent(file=b"RIFF", model="whisper-1"))

    assert tree["file"] == {"filename": "upload", "content_type": "application/octet-stream", "data": "UklGRg=="}


def test_boundary_occurs_in_no_value() -> None:
    """A value that holds the boundary that would be chosen makes the writer choose the next."""
    content_type, body = multipart.build({"prompt": "\r\n--form-0--\r\n", "model": "form-1"})

    assert content_type == "multipart/form-data; boundary=form-2"
    assert multipart.parse(content_type, body) == {"prompt": "\r\n--form-0--\r\n", "model": "form-1"}


def test_equal_trees_give_equal_bytes() -> None:
    """The writer takes nothing but the tree."""
    tree: Document = {"model": "m", "keywords": ["a", "b"]}

    assert multipart.build(tree) == multipart.build(dict(tree))


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
NAMES = st.from_regex(r"[a-z_]{1,12}", fullmatch=True)
FILES = st.fixed_dictionaries(
    {
        "filename": st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters='"\\'), max_size=20),
        "content_type": st.sampled_from(["audio/wav", "application/octet-stream"]),
        "data": st.binary(max_size=60).map(lambda data: base64.b64encode(data).decode()),
    }
)


@given(st.dictionaries(NAMES, TEXT | st.lists(TEXT, min_size=1, max_size=3) | FILES, min_size=1, max_size=5))
def test_any_tree_of_a_form_survives_writing_and_reading(tree: Document) -> None:
    """Reading what was written gives the tree back."""
    assert multipart.parse(*multipart.build(tree)) == tree


@given(st.binary(max_size=200))
def test_reader_raises_only_its_own_error(noise: bytes) -> None:
    """Whatever the bytes, the reader gives a tree or `NotStrict`."""
    for body in (noise, b"--b\r\n" + noise + b"\r\n--b--\r\n"):
        try:
            multipart.parse("multipart/form-data; boundary=b", body)
        except NotStrict:
            continue


HEAD = b'Content-Disposition: form-data; name="model"'


def form(*parts: bytes) -> bytes:
    """A form of parts, each with its head."""
    return b"".join(b"--b\r\n" + part + b"\r\n" for part in parts) + b"--b--\r\n"


BROKEN = {
    "no body": b"",
    "no part": b"--b--\r\n",
    "preamble": b"x\r\n" + form(HEAD + b"\r\n\r\nm"),
    "epilogue": form(HEAD + b"\r\n\r\nm") + b"x",
    "cut off": form(HEAD + b"\r\n\r\nm")[:-6],
    "padding after the boundary": form(HEAD + b"\r\n\r\nm").replace(b"--b\r\n", b"--b \r\n", 1),
    "boundary that goes on": form(HEAD + b"\r\n\r\nm").replace(b"--b\r\n", b"--bc\r\n", 1),
    "bare line feeds": form(HEAD + b"\r\n\r\nm").replace(b"\r\n", b"\n"),
    "no head": form(b"m"),
    "head too long": form(HEAD + b"\r\nContent-Type: text/plain" + b" " * 2048 + b"\r\n\r\nm"),
    "name twice": form(HEAD + b"\r\n\r\nm", HEAD + b"\r\n\r\nn"),
    "name and list": form(HEAD + b"\r\n\r\nm", HEAD.replace(b"model", b"model[]") + b"\r\n\r\nn"),
    "list and name": form(HEAD.replace(b"model", b"model[]") + b"\r\n\r\nn", HEAD + b"\r\n\r\nm"),
    "list and object": form(
        HEAD.replace(b"model", b"a[]") + b"\r\n\r\nn", HEAD.replace(b"model", b"a[k]") + b"\r\n\r\n"
    ),
    "key twice": form(*[HEAD.replace(b"model", b"a[k]") + b"\r\n\r\n"] * 2),
    "object that poses as a file": form(HEAD.replace(b"model", b"a[data]") + b"\r\n\r\nn"),
    "key inside a file": form(
        HEAD.replace(b"model", b"a") + b'; filename="f"\r\n\r\nn', HEAD.replace(b"model", b"a[k]") + b"\r\n\r\nn"
    ),
    "file in a list": form(HEAD.replace(b"model", b"a[]") + b'; filename="f"\r\n\r\nn'),
    "name that is no word": form(HEAD.replace(b"model", b"mo del") + b"\r\n\r\nm"),
    "name nested twice": form(HEAD.replace(b"model", b"a[b][c]") + b"\r\n\r\nm"),
    "encoded file name": form(HEAD + b"; filename*=UTF-8''f\r\n\r\nm"),
    "backslash in a file name": form(HEAD + b'; filename="a\\"\r\n\r\nm'),
    "unquoted name": form(b"Content-Disposition: form-data; name=model\r\n\r\nm"),
    "another disposition": form(b'Content-Disposition: attachment; name="model"\r\n\r\nm'),
    "transfer encoding": form(HEAD + b"\r\nContent-Transfer-Encoding: base64\r\n\r\nbQ=="),
    "header twice": form(HEAD + b"\r\n" + HEAD + b"\r\n\r\nm"),
    "text of another type": form(HEAD + b"\r\nContent-Type: text/html\r\n\r\nm"),
    "text in another charset": form(HEAD + b"\r\nContent-Type: text/plain; charset=latin-1\r\n\r\nm"),
    "file type with parameters": form(HEAD + b'; filename="f"\r\nContent-Type: audio/wav; codecs=1\r\n\r\nm'),
    "text not in UTF-8": form(HEAD + b"\r\n\r\n\xff"),
    "NUL in a text": form(HEAD + b"\r\n\r\nm\0"),
}


@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN)
def test_reader_refuses_what_parsers_read_differently(body: bytes) -> None:
    """A form that is not written the one strict way is refused, and the message quotes nothing of it."""
    with pytest.raises(NotStrict) as refusal:
        multipart.parse("multipart/form-data; boundary=b", body)

    assert "model" not in str(refusal.value)


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "application/json",
        "multipart/form-data",
        "multipart/mixed; boundary=b",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=b; charset=x",
    ],
)
def test_reader_wants_a_plain_boundary(content_type: str) -> None:
    """A content type that does not name one plain boundary is refused."""
    with pytest.raises(NotStrict):
        multipart.parse(content_type, form(HEAD + b"\r\n\r\nm"))


@pytest.mark.parametrize(("count", "fits"), [(999, True), (1000, True), (1001, False)])
def test_number_of_parts_is_bounded(count: int, fits: bool) -> None:
    """A form has at most a thousand parts."""
    body = form(*[HEAD.replace(b"model", b"keywords[]") + b"\r\n\r\nk"] * count)

    if fits:
        assert multipart.parse("multipart/form-data; boundary=b", body) == {"keywords": ["k"] * count}
    else:
        with pytest.raises(NotStrict):
            multipart.parse("multipart/form-data; boundary=b", body)


UNSAYABLE: dict[str, Document] = {
    "number": {"temperature": 1},
    "nothing": {"model": None},
    "list of numbers": {"a": [1]},
    "object in an object": {"a": {"b": {}}},
    "file without base64": {"file": {"filename": "f", "content_type": "audio/wav", "data": "é"}},
    "file type that is none": {"file": {"filename": "f", "content_type": "a\r\nb: c", "data": ""}},
    "lone surrogate": {"prompt": "\ud800"},
}


@pytest.mark.parametrize("tree", UNSAYABLE.values(), ids=UNSAYABLE)
def test_writer_refuses_what_a_form_cannot_say(tree: Document) -> None:
    """A tree that would be read back as another is not written."""
    with pytest.raises(NotStrict):
        multipart.build(tree)


def test_writer_keeps_a_file_name_inside_its_quotes() -> None:
    """A file name cannot end its header or begin another."""
    name = 'a"\r\nContent-Type: text/html'
    _content_type, body = multipart.build({"file": {"filename": name, "content_type": "audio/wav", "data": ""}})

    assert b'filename="a%22%0D%0AContent-Type: text/html"\r\n' in body
