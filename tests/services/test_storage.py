"""Storage against real servers: Azurite, which speaks as Azure does, and moto's, which speaks as S3 does."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time

import pytest

import rollcore
from rollcore import storage

ACCOUNT = "devstoreaccount1"
# The account and the key that every Azurite has; nothing of it is secret, but the tests treat it so.
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
SECRET = "wJalrXUtnFEMIbPxRfiCYEXAMPLEKEY"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def serving(command, port, log):
    """Run a server until the block ends; it is up when its port answers."""
    with open(log, "wb") as output, subprocess.Popen(command, stdout=output, stderr=output) as process:
        try:
            for _ in range(600):
                assert process.poll() is None, log.read_text()
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    break
                time.sleep(0.1)
            yield process
        finally:
            process.kill()


def moto(port):
    return [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]


def azure_string(port, key=KEY):
    return (
        f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={key};"
        f"BlobEndpoint=http://127.0.0.1:{port}/{ACCOUNT};"
    )


@pytest.fixture(scope="module")
def azure(tmp_path_factory):
    pytest.importorskip("adlfs", reason="needs adlfs: pip install 'rollcore[azure]'")
    program = shutil.which("azurite-blob")
    if program is None:
        pytest.skip("needs Azurite: npm install azurite")
    folder, port = tmp_path_factory.mktemp("azurite"), free_port()
    command = [program, "--silent", "--skipApiVersionCheck", "--location", folder, "--blobPort", str(port)]
    with serving(command, port, folder / "log"):
        yield {"AZURE_STORAGE_CONNECTION_STRING": azure_string(port)}


@pytest.fixture(scope="module")
def s3(tmp_path_factory):
    pytest.importorskip("s3fs", reason="needs s3fs: pip install 'rollcore[s3]'")
    pytest.importorskip("moto", reason="needs moto: pip install 'moto[server]'")
    folder, port = tmp_path_factory.mktemp("moto"), free_port()
    with serving(moto(port), port, folder / "log"):
        yield {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": "us-east-1",
        }


@pytest.fixture(params=["az", "s3"])
def place(request, tmp_path, monkeypatch):
    """Protocol and an environment with credentials; a container for each test, and an empty cache."""
    for name, value in request.getfixturevalue({"az": "azure", "s3": "s3"}[request.param]).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("ROLLCORE_CACHE", str(tmp_path / "cache"))
    container = f"{request.param}://c{os.getpid()}-{time.monotonic_ns()}"
    system, path = storage._opened(container)
    system.mkdir(path)
    return container


def command(*arguments, **environment):
    """Run a command of a package; return its status and all it said, none of which may be a key."""
    program = [sys.executable, "-m", *arguments]
    done = subprocess.run(program, env={**os.environ, **environment}, capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    assert "Traceback" not in said, said
    assert all(secret not in said for secret in (KEY, SECRET))
    return done.returncode, said


def run(*arguments, **environment):
    status, said = command(*arguments, **environment)
    assert status == 0, said
    return said


def test_from_files_in_storage_to_music_in_storage(place, tmp_path):
    chords = tmp_path / "chords"
    for path in rollcore.make_chords(chords)[24:]:
        path.unlink()
    storage.publish(chords, f"{place}/midi", quiet=True)
    run("rollcore", "build-dataset", f"{place}/midi", f"{place}/data/out.h5", "--steps-per-beat", "4")
    rollcore.build_dataset(chords, tmp_path / "out.h5", steps_per_beat=4)
    fetched = storage.fetch(f"{place}/data/out.h5", quiet=True)
    with open(fetched, "rb") as copy, open(tmp_path / "out.h5", "rb") as local:
        assert copy.read() == local.read()
    assert "intact, 24 pieces" in run("rollcore", "verify", f"{place}/data/out.h5")
    pytest.importorskip("tensorflow", reason="the model needs TensorFlow")
    small = ["--epochs", "1", "--units", "8", "--layers", "1", "--echo", "0", "--samples", "0"]
    run("seq2seq", "train", f"{place}/data/out.h5", "--run-dir", f"{place}/models/tiny", *small)
    said = run("seq2seq", "generate", f"{place}/models/tiny", "-o", f"{place}/music", "--seconds", "8", "--seed", "3")
    assert f"{place}/music" in said
    files = list(storage._opened(f"{place}/music")[0].find(f"{place}/music"))
    assert any(name.endswith(".mid") for name in files)
    assert any(name.endswith(".html") for name in files)
    for folder, _, names in os.walk(tmp_path / "cache"):
        for name in names:
            with open(os.path.join(folder, name), "rb") as file:
                content = file.read()
            assert KEY.encode() not in content
            assert SECRET.encode() not in content
    facts = (tmp_path / "cache").rglob("config.json")
    assert all(f"{place}/data/out.h5" in path.read_text() for path in facts)
    copy = storage.fetch(f"{place}/models/tiny", quiet=True)
    run("seq2seq", "push", copy, f"{place}/models/again")
    assert storage._opened(place)[0].exists(f"{place}/models/again/config.json")


def test_what_changed_is_fetched_again(place, tmp_path):
    (tmp_path / "x.mid").write_bytes(b"one")
    storage.publish(tmp_path / "x.mid", f"{place}/x.mid", quiet=True)
    first = storage.fetch(f"{place}/x.mid", quiet=True)
    assert storage.fetch(f"{place}/x.mid", quiet=True) == first
    (tmp_path / "x.mid").write_bytes(b"two")
    storage.publish(tmp_path / "x.mid", f"{place}/x.mid", quiet=True)
    with open(storage.fetch(f"{place}/x.mid", quiet=True), "rb") as file:
        assert file.read() == b"two"


def test_an_archive_and_a_wildcard(place, tmp_path):
    chords = tmp_path / "chords"
    for path in rollcore.make_chords(chords)[6:]:
        path.unlink()
    archive = shutil.make_archive(str(tmp_path / "box"), "zip", chords)
    storage.publish(archive, f"{place}/box.zip", quiet=True)
    report = rollcore.build_dataset(f"{place}/*.zip", tmp_path / "x.h5")
    assert report.pieces == 6
    assert rollcore.open_dataset(tmp_path / "x.h5").name(0).startswith(f"{place}/box.zip/")


def test_what_is_absent(place):
    for address in (f"{place}/none.h5", f"{place}none/x.h5"):
        status, said = command("rollcore", "info", address)
        assert status == 1
        assert said == f"error: {address}: not there; check the container and the path\n"
    status, said = command("rollcore", "make-chords", f"{place}none/midi")
    assert (status, said) == (1, f"error: {place}none/midi: not there; check the container and the path\n")


def test_credentials_that_are_missing_or_wrong(azure):
    port = azure["AZURE_STORAGE_CONNECTION_STRING"].partition("127.0.0.1:")[2].partition("/")[0]
    none = {name: "" for name in os.environ if name.startswith("AZURE_")}
    for string, words in (
        (azure_string(port, "bm90IHRoZSBrZXk="), "no permission"),
        (azure_string(port, "not base64!"), "not base64"),
        ("", "no credentials"),
    ):
        status, said = command("rollcore", "info", "az://music/x.h5", **none, AZURE_STORAGE_CONNECTION_STRING=string)
        assert status == 1
        assert words in said
        assert said.count("\n") == 1
        assert "bm90IHRoZSBrZXk=" not in said


def test_a_server_that_goes_away_before_the_copy_keeps_what_was_built(s3, tmp_path):
    port = free_port()
    environment = {**os.environ, **s3, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "AWS_MAX_ATTEMPTS": "1"}
    environment["ROLLCORE_CACHE"] = str(tmp_path / "cache")
    script = (
        "import os, signal, sys\nfrom rollcore import storage\n"
        "system, path = storage._opened('s3://box')\nsystem.mkdir(path)\n"
        "with storage.published('s3://box/x.h5') as path:\n"
        "    open(path, 'wb').write(b'whole')\n"
        "    os.kill(int(sys.argv[1]), signal.SIGKILL)\n"
    )
    with serving(moto(port), port, tmp_path / "log") as server:
        program = [sys.executable, "-c", script, str(server.pid)]
        done = subprocess.run(program, env=environment, capture_output=True, text=True, check=False)
    last = done.stderr.strip().splitlines()[-1]
    assert "s3://box/x.h5: storage cannot be reached" in last
    with open(last.rpartition("kept in ")[2], "rb") as file:
        assert file.read() == b"whole"


def test_workers_build_from_storage_to_storage(place, tmp_path, monkeypatch):
    pytest.importorskip("distributed", reason="Dask is not installed: pip install 'rollcore[dask]'")
    chords = tmp_path / "chords"
    for path in rollcore.make_chords(chords)[30:]:
        path.unlink()
    storage.publish(chords, f"{place}/midi", quiet=True)
    run("rollcore", "build-dataset", f"{place}/midi", f"{place}/data/out.h5", "--dask", "local")
    rollcore.build_dataset(chords, tmp_path / "out.h5")
    with open(storage.fetch(f"{place}/data/out.h5", quiet=True), "rb") as copy:
        assert copy.read() == (tmp_path / "out.h5").read_bytes()
    system, path = storage._opened(place)
    assert [name.rpartition("/")[2] for name in system.find(f"{path}/data")] == ["out.h5"]


def test_an_update_reads_what_changed_in_storage(place, tmp_path):
    chords = tmp_path / "chords"
    for path in rollcore.make_chords(chords)[20:]:
        path.unlink()
    storage.publish(chords, f"{place}/midi", quiet=True)
    time.sleep(3)  # what changed two seconds before is read again
    command = ["build-dataset", f"{place}/midi", f"{place}/out.h5", "--update"]
    run("rollcore", *command)
    shutil.copy(chords / "A_major.mid", chords / "new.mid")
    storage.publish(chords / "new.mid", f"{place}/midi/new.mid", quiet=True)
    shutil.rmtree(tmp_path / "cache")
    assert "1 added, 0 changed, 0 gone, 20 unchanged" in run("rollcore", *command)
    fetched = [path.name for path in (tmp_path / "cache").rglob("*.mid")]
    assert fetched == ["new.mid"]
    rollcore.build_dataset(chords, tmp_path / "out.h5")
    with open(storage.fetch(f"{place}/out.h5", quiet=True), "rb") as copy:
        assert copy.read() == (tmp_path / "out.h5").read_bytes()
