"""A page with a form on this machine: ask the model for music, hear it, see it, download it.

``GET /`` is the form; ``POST /`` takes what it sends and answers with a page; ``POST /compose`` takes and gives JSON,
see `seq2seq.deploy.answers`; ``GET /midi/NUMBER`` is a file that was made. Nothing is written to the disk, and nothing
of it is read but the model. What is asked for is bounded, as are the requests that are answered at one time.
"""

from __future__ import annotations

import base64
import email
import json
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from rollcore import RollcoreError
from seq2seq.deploy.answers import BOUNDS, answer, midi_bytes, parse_request
from seq2seq.errors import ConfigError
from seq2seq.output.composition import Composition
from seq2seq.output.export import composition_piece
from seq2seq.output.page import html_text, pieces_page
from seq2seq.sampling.generator import Generator

MAX_BODY_BYTES = 2_000_000
#: Requests that are answered at one time, and seconds that another one waits for its turn.
AT_ONCE, PATIENCE_S = 2, 30.0
#: Files that are kept for downloading.
KEPT_FILES = 64
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}

# Name, label, kind and hint of each field of the form.
_FORM = (
    ("primer_midi", "Go on from a MIDI file", "file", ""),
    ("primer_pitches", "or from a chord", "text", "C4 E4 G4"),
    ("melody_midi", "Play around a melody", "file", ""),
    ("scale", "Keep to a scale", "text", "Am, D dorian"),
    ("bars", "Bars", "number", "until it ends"),
    ("tempo_bpm", "Quarter notes per minute", "number", "as trained"),
    ("temperature", "Temperature", "number", "1"),
    ("max_polyphony", "Notes at once, at most", "number", "any"),
    ("num_outputs", "Pieces", "number", "1"),
    ("seed", "Seed", "number", "0"),
)
_WHOLE = {"bars", "max_polyphony", "num_outputs", "seed"}


class MusicServer(ThreadingHTTPServer):
    """Answers requests with one generator; `serve_forever` runs it.

    Parameters
    ----------
    generator
        The model.
    host, port
        Where to listen; port 0 stands for any that is free.
    """

    daemon_threads = True

    def __init__(self, generator: Generator, host: str = "127.0.0.1", port: int = 8000) -> None:
        self.generator = generator
        self._turns = threading.BoundedSemaphore(AT_ONCE)
        self._files: OrderedDict[int, tuple[str, bytes]] = OrderedDict()
        self._lock, self._count = threading.Lock(), 0
        self.loopback = host in _LOOPBACK
        super().__init__((host, port), _Handler)

    @property
    def address(self) -> str:
        """Where the page is."""
        host, port = self.server_address[:2]
        return f"http://{host!s}:{port}/"

    def compose(self, fields: Mapping[str, Any]) -> list[Composition]:
        """Return what is asked for.

        Raises
        ------
        TimeoutError
            If too many others are being answered.
        RollcoreError
            If the request cannot be answered.
        """
        request = parse_request(fields)
        endings = self.generator.corpus.endings
        open_end = request.bars is None and request.frames is None and request.seconds is None
        if open_end and request.melody is None and endings is not None and endings.lengths[-1] > BOUNDS["frames"]:
            raise ConfigError(
                "pieces of this model are longer than one request may be: ask for bars, frames or seconds"
            )
        if not self._turns.acquire(timeout=PATIENCE_S):
            raise TimeoutError
        try:
            return self.generator.compose(request)
        finally:
            self._turns.release()

    def keep(self, composition: Composition) -> int:
        """Keep the MIDI file of a composition for a while; return its number."""
        content = midi_bytes(composition)
        with self._lock:
            self._count += 1
            self._files[self._count] = (f"{composition.name}.mid", content)
            while len(self._files) > KEPT_FILES:
                self._files.popitem(last=False)
            return self._count

    def file(self, number: int) -> tuple[str, bytes] | None:
        """Return name and content of a file that is kept."""
        with self._lock:
            return self._files.get(number)


class _Handler(BaseHTTPRequestHandler):
    server: MusicServer
    server_version, sys_version = "seq2seq", ""
    timeout = 60

    def do_GET(self) -> None:
        """Answer with the form, or with a file."""
        if not self._is_local():
            return
        path = urlsplit(self.path).path
        if path == "/":
            self._page([], [], {})
            return
        match = re.fullmatch(r"/midi/(\d{1,12})", path)
        kept = self.server.file(int(match[1])) if match is not None else None
        if kept is None:
            self._send(HTTPStatus.NOT_FOUND, "text/plain", b"nothing here; files are kept for a while only\n")
            return
        name = re.sub(r"[^\w#.-]", "_", kept[0], flags=re.ASCII)
        self._send(HTTPStatus.OK, "audio/midi", kept[1], {"Content-Disposition": f'attachment; filename="{name}"'})

    def do_POST(self) -> None:
        """Compose."""
        if not self._is_local():
            return
        path = urlsplit(self.path).path
        if path == "/compose":
            self._answer(lambda: self._json(self._body()), self._send_json)
        elif path == "/":
            self._answer(lambda: self._form(self._body()), self._page)
        else:
            self._send(HTTPStatus.NOT_FOUND, "text/plain", b"nothing here\n")

    def _answer(
        self,
        read: Callable[[], dict[str, Any]],
        show: Callable[[list[Composition], list[str], dict[str, Any], HTTPStatus], None],
    ) -> None:
        """Read a request, compose, and show the outcome, or in one line what is wrong."""
        fields: dict[str, Any] = {}
        try:
            fields = read()
            compositions = self.server.compose(fields)
        except RollcoreError as error:
            show([], [" ".join(str(error).split())], fields, HTTPStatus.BAD_REQUEST)
        except TimeoutError:
            show([], ["others are being answered: try again in a while"], fields, HTTPStatus.SERVICE_UNAVAILABLE)
        else:
            show(compositions, [], fields, HTTPStatus.OK)

    def _is_local(self) -> bool:
        """Refuse what a page of another site sends here through the browser of somebody on this machine."""
        host = urlsplit(f"//{self.headers.get('Host', '')}").hostname
        origin = self.headers.get("Origin")
        foreign = origin is not None and urlsplit(origin).netloc != self.headers.get("Host")
        if foreign or (self.server.loopback and host not in _LOOPBACK):
            self._send(HTTPStatus.FORBIDDEN, "text/plain", b"open the page by its own address\n")
            return False
        return True

    def _body(self) -> bytes:
        """Return the body of the request, or raise `ConfigError` where it is too long or has no length."""
        length = self.headers.get("Content-Length", "")
        if not re.fullmatch(r"\d{1,12}", length) or int(length) > MAX_BODY_BYTES:
            self.close_connection = True
            raise ConfigError(f"a request has a Content-Length of at most {MAX_BODY_BYTES:,}")
        return self.rfile.read(int(length))

    def _json(self, body: bytes) -> dict[str, Any]:
        try:
            fields = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"not JSON: {error}") from None
        if not isinstance(fields, dict):
            raise ConfigError("a request is a JSON object")
        return fields

    def _form(self, body: bytes) -> dict[str, Any]:
        """Return the fields of a form, ``multipart/form-data``; those left empty are left out."""
        kind = self.headers.get("Content-Type", "")
        message = email.message_from_bytes(b"Content-Type: " + kind.encode("latin-1") + b"\r\n\r\n" + body)
        if message.get_content_type() != "multipart/form-data" or not message.is_multipart():
            raise ConfigError("a form comes as multipart/form-data")
        known = {name: kind for name, _, kind, _ in _FORM}
        fields: dict[str, Any] = {}
        for part in message.walk():
            name, content = part.get_param("name", header="content-disposition"), part.get_payload(decode=True)
            if not isinstance(name, str) or not isinstance(content, bytes):
                continue
            if known.get(name) == "file" and content:
                fields[name] = base64.b64encode(content).decode()
            elif name in known and content.strip():
                text = content.decode("utf-8", "replace").strip()
                fields[name] = _number(name, text) if known[name] == "number" else text
        return fields

    def _page(
        self,
        compositions: list[Composition],
        remarks: list[str],
        fields: dict[str, Any],
        status: HTTPStatus = HTTPStatus.OK,
    ) -> None:
        """Send the form as it was filled in, below it what was made or what is wrong."""
        generator = self.server.generator
        numbers = [self.server.keep(one) for one in compositions]
        pieces = [
            composition_piece(one, {f"{one.name}.mid": f"/midi/{number}"})
            for one, number in zip(compositions, numbers, strict=True)
        ]
        wrong = "".join(f'<p class="remark">{html_text(remark)}</p>\n' for remark in remarks)
        page = pieces_page(f"Music by {generator.name}", _form_html(fields) + wrong, pieces)
        self._send(status, "text/html; charset=utf-8", page.encode())

    def _send_json(
        self, compositions: list[Composition], remarks: list[str], fields: dict[str, Any], status: HTTPStatus
    ) -> None:
        """Send compositions, or an error."""
        told = {"error": remarks[0]} if remarks else {"compositions": [answer(one) for one in compositions]}
        self._send(status, "application/json", json.dumps(told).encode())

    def _send(self, status: HTTPStatus, kind: str, content: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        secure = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
        for name, value in {"Content-Type": kind, **secure, **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Say nothing: what is asked for is nobody else's business."""


def _number(name: str, text: str) -> int | float:
    try:
        return int(text) if name in _WHOLE else float(text)
    except ValueError:
        raise ConfigError(f"{name} must be a number, not {text[:20]!r}") from None


def _form_html(fields: Mapping[str, Any]) -> str:
    """Return the form, with what was filled in; files have to be chosen again."""
    rows = []
    for name, label, kind, hint in _FORM:
        value = "" if kind == "file" else f' value="{html_text(fields.get(name, ""))}"'
        extra = ' accept=".mid,.midi,audio/midi"' if kind == "file" else f' placeholder="{html_text(hint)}"'
        extra += ' step="any"' if kind == "number" and name not in _WHOLE else ""
        rows.append(f'<dt><label for="{name}">{html_text(label)}</label></dt>')
        rows.append(f'<dd><input id="{name}" name="{name}" type="{kind}"{value}{extra}></dd>')
    lines = "\n".join(rows)
    return (
        f'<form method="post" action="/" enctype="multipart/form-data">\n<dl>\n{lines}\n</dl>\n'
        "<p><button>Compose</button></p>\n</form>\n"
    )
