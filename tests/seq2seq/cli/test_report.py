"""`seq2seq report`: it composes for the page, and says why where it cannot."""

import json
import re

import rollcore
from fake_runs import losses, write_run
from rollcore.storage import publish
from seq2seq.cli import main
from seq2seq.models.weights import save_weights
from seq2seq.sampling.corpus import Corpus
from untrained import untrained


def data_of(path):
    return json.loads(re.search(r'id="data">(.*?)</script>', path.read_text())[1])


def test_a_report_of_a_model_has_music_that_goes_on_from_held_out_pieces(tmp_path, capsys):
    rollcore.make_chords(tmp_path / "midi")
    rollcore.build_dataset(tmp_path / "midi", tmp_path / "chords.h5", steps_per_beat=4, planes=("sounding", "onset"))
    dataset = rollcore.open_dataset(tmp_path / "chords.h5")
    model = {"model": "seq2seq", "low": 40, "high": 88, "input_frames": 20, "target_frames": 7, "units": 8}
    run = write_run(tmp_path / "a", losses(2), model=model | {"planes": dataset.planes}, samples=1)
    facts = json.loads((run.path / "config.json").read_text())
    facts["dataset"] |= {"path": str(dataset.path), "fingerprint": dataset.fingerprint}
    (run.path / "config.json").write_text(json.dumps(facts))
    save_weights(run.config, untrained(run.config), run.weights, Corpus.of(dataset).to_dict())
    assert main(["report", str(run.path), "--pieces", "1"]) == 0
    assert capsys.readouterr().out == f"report: {run.path / 'report.html'}\n"
    first, second = data_of(run.path / "report.html")["pieces"]
    assert 0 < first["primer"] < first["ms"]
    assert second["name"] == "epoch-1"
    target = tmp_path / "b.html"
    assert main(["report", str(run.path), "--pieces", "0", "-o", str(target)]) == 0
    assert [piece["name"] for piece in data_of(target)["pieces"]] == ["epoch-1"]


def test_a_report_says_why_there_is_no_music(tmp_path, capsys):
    run = write_run(tmp_path / "a", losses(2))
    run.weights.write_bytes(b"damaged")
    assert main(["report", str(run.path)]) == 0
    assert "model.safetensors: " in (run.path / "report.html").read_text()
    assert main(["report", str(tmp_path / "none")]) == 1
    assert "not a run folder" in capsys.readouterr().err


def test_the_report_of_a_run_in_storage_goes_beside_it(memory, tmp_path, capsys):
    write_run(tmp_path / "a", losses(2), samples=1)
    publish(tmp_path / "a", "memory://models/a", quiet=True)
    assert main(["report", "memory://models/a"]) == 0
    assert capsys.readouterr().out == "report: memory://models/a/report.html\n"
    assert b"epoch-1" in memory.cat("/models/a/report.html")
    assert main(["report", "memory://models/a", "-o", "memory://pages/b.html"]) == 0
    assert memory.cat("/pages/b.html") == memory.cat("/models/a/report.html")
