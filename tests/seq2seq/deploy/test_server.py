"""`seq2seq serve`: a form and JSON over HTTP, bounded, one line for what is wrong, nothing read or written."""

import base64
import http.client
import io
import json
import re
import threading

import mido
import numpy as np
import pytest

import rollcore
from seq2seq.deploy import server as serving
from seq2seq.deploy.server import KEPT_FILES, MusicServer
from seq2seq.sampling.generator import Generator
from seq2seq.sampling.request import Request
from untrained import write_untrained


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return write_untrained(tmp_path_factory.mktemp("model") / "tiny.safetensors")


@pytest.fixture(scope="module")
def served(weights):
    with MusicServer(Generator.load(weights), port=0) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def ask(server, method, path, body=None, **headers):
    """Send a request; return status, headers and body."""
    connection = http.client.HTTPConnection(*server.server_address[:2], timeout=60)
    try:
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        reply = connection.getresponse()
        return reply.status, reply.headers, reply.read()
    finally:
        connection.close()


def compose(server, **fields):
    status, headers, body = ask(server, "POST", "/compose", json.dumps(fields))
    assert headers["Content-Type"] == "application/json"
    return status, json.loads(body)


def form(**fields):
    """A form as a browser sends it."""
    lines = []
    for name, value in fields.items():
        file = f'; filename="{name}.mid"' if isinstance(value, bytes) else ""
        lines.append(f'--edge\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'.encode())
        lines += [value if isinstance(value, bytes) else value.encode(), b"\r\n"]
    return b"".join([*lines, b"--edge--\r\n"])


MULTIPART = "multipart/form-data; boundary=edge"


@pytest.fixture(scope="module")
def riff():
    file = io.BytesIO()
    rollcore.write_midi(rollcore.Midi.from_notes([(0, 480, 60, 90, 0, 0), (480, 960, 62, 90, 0, 0)]), file)
    return file.getvalue()


def test_json_in_json_out_is_what_the_generator_composes(served, weights, riff):
    status, told = compose(served, frames=32, seed=3, num_outputs=2, primer_midi=base64.b64encode(riff).decode())
    assert status == 200
    request = Request(frames=32, seed=3, num_outputs=2, primer=rollcore.read_midi(riff))
    for found, wanted in zip(told["compositions"], Generator.load(weights).compose(request), strict=True):
        file = rollcore.read_midi(base64.b64decode(found["midi"]))
        assert np.array_equal(file.notes["pitch"], wanted.score.midi.notes["pitch"])
        assert found["notes"] == [
            [round(onset, 6), round(offset, 6), int(note["pitch"]), int(note["velocity"])]
            for onset, offset, note in zip(
                wanted.score.midi.seconds(wanted.score.midi.notes["onset_tick"]),
                wanted.score.midi.seconds(wanted.score.midi.notes["offset_tick"]),
                wanted.score.midi.notes,
                strict=True,
            )
        ]
        assert found["seconds"] == wanted.score.seconds
        assert found["remarks"] == wanted.remarks()


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"frames": "many"}, "frames must be a whole number"),
        ({"frames": 10**9}, "frames must be at most 4,096 in one request"),
        ({"num_outputs": 9, "frames": 8}, "num_outputs must be at most 8"),
        ({"primer": "/etc/passwd"}, "'primer' is not a field of a request"),
        ({"melody": "x.mid"}, "'melody' is not a field"),
        ({"data": "x.h5"}, "'data' is not a field"),
        ({"primer_midi": "AAAA"}, "<bytes>"),
        ({"primer_midi": "?"}, "not base64"),
        ({"primer_midi": 3}, "in base64"),
        ({"primer_midi": "A" * 1_400_000}, "longer than 1,000,000 bytes"),
        ({"scale": "A minr"}, "'A minr' is not a scale"),
        ({"time_signature": "4/5"}, "time signature"),
        ({"time_signature": "four"}, "not one such as 4/4"),
        ({"primer_pitches": "C0"}, "the model knows E2 to E6"),
        ({"temperature": None, "seed": -1}, "seed must be"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(served, fields, said):
    status, told = compose(served, **fields)
    assert status == 400
    assert said in told["error"]
    assert "\n" not in told["error"]


@pytest.mark.parametrize("body", [b"{", b"[]", b"[" * 100_000, b"\xff"])
def test_what_is_not_a_json_object_is_refused(served, body):
    status, _, told = ask(served, "POST", "/compose", body)
    assert status == 400
    assert set(json.loads(told)) == {"error"}


def test_a_body_that_is_too_long_is_not_read(served):
    status, _, told = ask(served, "POST", "/compose", b"", Content_Length="3000000000")
    assert status == 400
    assert b"at most 2,000,000" in told


def test_the_form_and_what_it_makes(served, riff):
    status, headers, page = ask(served, "GET", "/")
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert b"<form" in page
    assert b"<section>" not in page
    body = form(primer_midi=riff, melody_midi=b"", scale="Am", bars="2", num_outputs="2", seed="", temperature=" 1.1 ")
    status, _, page = ask(served, "POST", "/", body, Content_Type=MULTIPART)
    assert status == 200
    text = page.decode()
    assert text.count("<section>") == 2
    assert 'value="Am"' in text
    links = re.findall(r'href="(/midi/\d+)"', text)
    assert len(links) == 2
    status, headers, content = ask(served, "GET", links[0])
    assert (status, headers["Content-Type"]) == (200, "audio/midi")
    assert re.fullmatch(r'attachment; filename="tiny-[\w.-]+\.mid"', headers["Content-Disposition"])
    file = mido.MidiFile(file=io.BytesIO(content))
    assert file.length == pytest.approx(8 * 60 / 120)  # two bars at the tempo of a file that names none
    assert ask(served, "GET", "/midi/999999")[0] == 404


def test_what_is_filled_in_is_escaped(served):
    status, _, page = ask(served, "POST", "/", form(scale='"><script>alert(1)</script>'), Content_Type=MULTIPART)
    assert status == 400
    assert b"<script>alert" not in page
    assert b"is not a scale" in page
    status, _, page = ask(served, "POST", "/", form(bars="two"), Content_Type=MULTIPART)
    assert status == 400
    assert b"bars must be a number" in page
    assert ask(served, "POST", "/", b"bars=2", Content_Type="application/x-www-form-urlencoded")[0] == 400


def test_other_sites_cannot_ask_through_a_browser(served):
    assert ask(served, "GET", "/", Host="evil.example")[0] == 403
    assert ask(served, "POST", "/compose", b"{}", Origin="http://evil.example")[0] == 403
    host = f"127.0.0.1:{served.server_address[1]}"
    status, _, _ = ask(served, "POST", "/compose", b'{"frames": 4}', Origin=f"http://{host}")
    assert status == 200
    assert ask(served, "POST", "/other", b"{}")[0] == 404
    assert ask(served, "GET", "/other")[0] == 404


def test_the_oldest_files_make_way(served):
    [composition] = served.generator.compose(Request(frames=4))
    numbers = [served.keep(composition) for _ in range(KEPT_FILES + 1)]
    assert served.file(numbers[0]) is None
    assert served.file(numbers[1]) is not None


def test_who_finds_no_turn_is_told(served, monkeypatch):
    monkeypatch.setattr(serving, "PATIENCE_S", 0.01)
    for _ in range(serving.AT_ONCE):
        served._turns.acquire()
    try:
        status, told = compose(served, frames=4)
    finally:
        for _ in range(serving.AT_ONCE):
            served._turns.release()
    assert status == 503
    assert "try again" in told["error"]
