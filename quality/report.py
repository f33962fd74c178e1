"""Write docs/quality.md from the results that the recipes left."""

from __future__ import annotations

import itertools
import json
import statistics
from pathlib import Path
from typing import Any

from quality import presets
from quality.lesswork import CORPORA, RUNS

from seq2seq.run import VALIDATION, out_of_patience

VOICES = ("melody", "piano")
DATASETS = {"jsb": "JSB", "nottingham": "Nottingham", "piano-midi": "Piano-midi", "musedata": "MuseData"}
TITLES = {"autoregressive": "Pitch-autoregressive models", "bernoulli": "Bernoulli models"}
# What the recipes should reach: nats per frame on the test split, all frames alike.
TARGETS = {
    "autoregressive": {"jsb": 3.95, "nottingham": 1.05, "piano-midi": 3.05, "musedata": 3.05},
    "autoregressive-no-echo": {"jsb": 4.30, "nottingham": 1.40, "piano-midi": 4.75, "musedata": 4.10},
    "bernoulli": {"jsb": 7.00, "nottingham": 1.90, "piano-midi": 4.35, "musedata": 4.45},
    "bernoulli-no-echo": {"jsb": 7.75, "nottingham": 2.40, "piano-midi": 6.35, "musedata": 6.05},
}
# What music of the default settings should reach: the bar, and whether it is an upper one.
HELD_OUT = {
    "frechet ratio": (3.0, True),
    "neighbour accuracy": (0.75, True),
    "bar again after 8": (0.35, False),
    "longest returning phrase, bars": (5.0, False),
    "notes in the piece's key": (0.96, False),
    "4-bar stretches in the home key": (0.70, False),
    "leaps over 7 semitones in the top line": (0.07, True),
    "notes on the beat": (0.70, False),
    "copied share": (0.0, True),
    "last top note is the tonic": (0.70, False),
}
# What the table of the presets shows of the music: column and measure.
MUSIC = {
    "in key": "notes in the piece's key",
    "home": "4-bar stretches in the home key",
    "bar again after 8": "bar again after 8",
    "phrase, bars": "longest returning phrase, bars",
    "leaps": "leaps over 7 semitones in the top line",
    "on the beat": "notes on the beat",
}
# Epochs without a better one after which the trainings of `quality.lesswork` might have ended.
PATIENCE = 2
PUBLISHED = {
    "autoregressive": {
        "RNN-NADE, as quoted by Krishnan et al. 2017": {
            "jsb": 5.19,
            "nottingham": 2.31,
            "piano-midi": 7.05,
            "musedata": 5.60,
        },
        "DMM-Aug-NADE, Krishnan et al. 2017": {
            "jsb": 5.118,
            "nottingham": 2.305,
            "piano-midi": 7.048,
            "musedata": 6.049,
        },
    },
    "bernoulli": {
        "LSTM, Bai et al. 2018 (without the first frame)": {"jsb": 8.45, "nottingham": 3.29},
        "TCN, Bai et al. 2018 (without the first frame)": {"jsb": 8.10, "nottingham": 3.07},
    },
}
OURS = {
    "ours, with varied echoes": ("nats_per_frame", "-varied"),
    "ours, `tied`": ("nats_per_frame", ""),
    "ours, without the echo": ("nats_per_frame", "-no-echo"),
    "ours, without any memory beyond the LSTM": ("nats_per_frame", "-no-memory"),
    "ours, without the first frame": ("nats_per_frame_without_first", ""),
    "ours, mean over pieces": ("nats_per_frame_by_piece", ""),
}
INTRODUCTION = """\
# Quality

Negative log-likelihood in nats per frame on the test splits of the four standard piano-roll datasets
(Boulanger-Lewandowski et al. 2012). Lower is better. Every frame is predicted once, from its past alone;
[evaluation.md](evaluation.md) describes the protocol. Unless stated otherwise, figures are means over all frames. The
epoch was chosen on the validation split. Each row is one training with seed 0 unless it says so. Another processor
rounds otherwise: there, the JSB recipe gave 4.190 instead of 4.175 with the same seed. A mean over seeds stands with
the standard deviation and the number of trainings. "Together" are trainings of other seeds, each after all of its
epochs, whose logits are averaged, question by question, and multiplied by a factor that is fitted on the validation
split; how many is in brackets.

Compare figures within a table only. In the first, a pitch may depend on the lower pitches of its own frame; in the
second, the pitches of a frame are independent given the past.

The echo is the frame that followed the longest earlier match of the latest frames in the same piece
([evaluation.md](evaluation.md)). Varied echoes are four frames that followed the pasts most like the latest frames,
transposed or not. All use the past alone, but a long one: compare a published model whose state forgets
what was played minutes ago with our rows without the echo. On Nottingham, those still have lags, and the Bernoulli one
on MuseData has some: a frame is predicted with some of the frames up to 96 or 48 before it at hand, so a row without
any memory beyond the LSTM follows. Published rows are those whose figures could be checked. Walder 2016, which is given
the rhythm, and Johnson 2017 (tied parallel networks), whose table could not be checked, are left out.

`make quality` writes this page from `quality/results/`; the recipes are in `quality/__main__.py`.
"""


def write_report(results: Path, target: Path) -> None:
    """Write *target* from the JSON files of the folder *results*."""
    found = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(results.glob("*.json"))}
    parts = [INTRODUCTION]
    together = {path.stem: json.loads(path.read_text("utf-8")) for path in sorted(results.glob("together/*.json"))}
    for head, title in TITLES.items():
        parts += [f"## {title}\n", _table(head, found, together), _verdict(head, found, together)]
    parts += ["## The architectures on the sample pack\n", _chords(found)]
    parts += [
        "## Transposition\n",
        _transposition(found),
        "## Voices\n",
        _voices(found),
        "## Music beside tunes that were not seen\n",
        _heldout(results / "heldout"),
        "## How they were trained\n",
        _training(found),
        "## Less work\n",
        _less_work(results / "lesswork"),
        "## Presets\n",
        _presets(results / "presets"),
    ]
    target.write_text("\n".join(parts), encoding="utf-8")


def _test(result: dict[str, Any] | None, key: str) -> float | None:
    return result and result["scores"]["test"][key]


def _nats(found: dict[str, Any], data: str, head: str) -> float | None:
    return _test(found.get(f"{data}-{head}"), "nats_per_frame")


def _table(head: str, found: dict[str, Any], together: dict[str, Any]) -> str:
    rows: dict[str, dict[str, Any]] = {}
    for name, (key, variant) in OURS.items():
        rows[name] = {data: _test(found.get(f"{data}-{head}{variant}"), key) for data in DATASETS}
        if variant == "-no-memory":
            # Without lags, a model without the echo has no other memory.
            no_echo = {data: found.get(f"{data}-{head}-no-echo") for data in DATASETS}
            no_lags = {data: result for data, result in no_echo.items() if result and not result["model"]["lags"]}
            rows[name] |= {data: _test(result, key) for data, result in no_lags.items()}
        if variant in ("", "-no-echo", "-varied") and key == "nats_per_frame":
            rows[f"{name}, mean over seeds"] = {
                data: _over_seeds(f"{data}-{head}{variant}", found) for data in DATASETS
            }
            rows[f"{name}, together"] = {data: _together(f"{data}-{head}{variant}", together) for data in DATASETS}
    rows["target"] = TARGETS[head]
    rows["target without the echo"] = TARGETS[f"{head}-no-echo"]
    rows.update(PUBLISHED[head])
    shown = {name: row for name, row in rows.items() if any(value is not None for value in row.values())}
    return _markdown(["model", *DATASETS.values()], [[name, *map(row.get, DATASETS)] for name, row in shown.items()])


def _over_seeds(name: str, found: dict[str, Any]) -> str | None:
    """Return mean, standard deviation and number of the trainings of a recipe."""
    nats = [_test(found[key], "nats_per_frame") or 0.0 for key in found if key.partition("-seed-")[0] == name]
    return _spread(nats) if len(nats) > 1 else None


def _spread(nats: list[float]) -> str:
    """Return mean, standard deviation and number; one alone as it is."""
    if len(nats) == 1:
        return f"{nats[0]:.3f}"
    return f"{statistics.mean(nats):.3f} ± {statistics.stdev(nats):.3f} ({len(nats)})"


def _together(name: str, together: dict[str, Any]) -> str | None:
    """Return what trainings of a recipe give together, and how many they are."""
    result = together.get(name)
    return result and f"{_test(result, 'nats_per_frame'):.3f} ({len(result['seeds'])})"


def _verdict(head: str, found: dict[str, Any], together: dict[str, Any]) -> str:
    """Say which targets are missed, and which recipes were not run."""
    return _verdict_on(head, "", found, together) + _verdict_on(f"{head}-no-echo", " without the echo", found, together)


def _verdict_on(head: str, which: str, found: dict[str, Any], together: dict[str, Any]) -> str:
    lines, met = [], []
    for data, wanted in TARGETS[head].items():
        nats, joint = _nats(found, data, head), _nats(together, data, head)
        if nats is None:
            lines.append(f"- {DATASETS[data]}{which}: no result; the recipe has not been run.")
        elif nats <= wanted:
            met.append(DATASETS[data])
        else:
            spent = found[f"{data}-{head}"]["cpu_minutes"]
            trained = f", after {spent:.0f} CPU minutes of training" if spent is not None else ""
            line = f"- {DATASETS[data]}{which}: misses the target by {nats - wanted:.2f}{trained}"
            if joint is not None:
                several = together[f"{data}-{head}"]
                line += f"; {len(several['seeds'])} trainings together"
                line += f", of {spent:.0f} CPU minutes, " if (spent := several["cpu_minutes"]) is not None else " "
                line += f"miss it by {joint - wanted:.2f}" if joint > wanted else "meet it"
            varied = _nats(found, data, f"{head}-varied")
            if varied is not None:
                spent = found[f"{data}-{head}-varied"]["cpu_minutes"]
                line += "; with varied echoes, one training"
                line += f", of {spent:.0f} CPU minutes, " if spent is not None else " "
                line += f"misses it by {varied - wanted:.2f}" if varied > wanted else "meets it"
            lines.append(line + ".")
    if met:
        lines.insert(0, f"- {', '.join(met)}{which}: the target is met.")
    return "\n".join(lines) + "\n"


def _chords(found: dict[str, Any]) -> str:
    names = [name for name in ("tied", "seq2seq", "blog") if f"chords-{name}" in found]
    rows = []
    for name in names:
        result = found[f"chords-{name}"]
        nats = [result["scores"][split]["nats_per_frame"] for split in ("validation", "test")]
        rows.append([f"`{name}`", f"{result['parameters']:,}", *nats, result["scores"]["test"]["f1"]])
    text = (
        "The sample pack of version 0.1, which was another one; 4 steps per beat, sounding and onset planes, 32\n"
        "frames in and 64 out. `tied` and\n"
        "`seq2seq` predict each frame from those before it; `blog`, the post's model, predicts all 64 from the 32 and\n"
        "so has the harder task; it does better on the grid of seconds, for which it was made.\n\n"
    )
    return text + _markdown(["model", "parameters", "validation", "test", "F1"], rows)


def _transposition(found: dict[str, Any]) -> str:
    names = {"jsb-autoregressive": "on", "jsb-autoregressive-no-transposition": "off"}
    rows = [
        [f"JSB, pitch-autoregressive, transposition {name}"]
        + [found[key]["scores"][split]["nats_per_frame"] for split in ("validation", "test")]
        for key, name in names.items()
        if key in found
    ]
    text = (
        "Windows are shifted at random, and the model is told the shift; it is evaluated unshifted. A third of the\n"
        "test sopranos of JSB have a near twin in training, so both are given. (One test piece of Nottingham is a\n"
        "copy of a training piece; it is left in, as in the published figures.)\n\n"
    )
    return text + _markdown(["", "validation", "test"], rows)


def _voices(found: dict[str, Any]) -> str:
    """Compare each voice of POP909 alone and beside the other."""
    text = (
        "Melody and piano of POP909 (160 files, sixteenths, aligned): one model of both voices, and one of each\n"
        "alone, trained alike on the same frames, with as many updates. Nats of the voice a frame, over the frames up\n"
        "to its last note. Within a frame, the model of both predicts the voices in either order: the first is given\n"
        "the past of both voices, the second the other voice's frame as well. One seed.\n\n"
    )
    rows, likelier, compared = [], 0, 0
    for model, name in itertools.product(("tied", "seq2seq"), VOICES):
        alone, joint = (found.get(f"pop909-{voices}-{model}") for voices in (name, "melody-piano"))
        for split in ("validation", "test"):
            alone_nats = alone and alone["scores"][split]["each_voice"][name]["first"]
            both = joint["scores"][split]["each_voice"][name] if joint else {}
            rows.append([f"{name}, `{model}`, {split}", alone_nats, both.get("first"), both.get("last")])
            if alone_nats is not None and both:
                compared += 1
                likelier += both["last"] < alone_nats
    wanted = [f"pop909-{voices}-{model}" for model in ("tied", "seq2seq") for voices in ("melody-piano", *VOICES)]
    missing = [f"`{name}`" for name in wanted if name not in found]
    note = f"\nA voice is likelier given the other than alone in {likelier} of {compared} rows. The model of both has\n"
    note += "for each voice as many units as the model of that voice alone. It is larger than the two together: each\n"
    note += "voice hears the other, too, and both have the range of pitches of all notes.\n\n"
    sizes = []
    for model, name in itertools.product(("tied", "seq2seq"), (*VOICES, "melody-piano")):
        result = found.get(f"pop909-{name}-{model}")
        if result:
            label = "both" if name == "melody-piano" else f"{name} alone"
            minutes = "–" if (spent := result["cpu_minutes"]) is None else f"{spent:.1f}"  # noqa: RUF001
            sizes.append([f"{label}, `{model}`", f"{result['parameters']:,}", result["epochs"], minutes])
    note += _markdown(["", "parameters", "epochs", "CPU minutes"], sizes)
    note += "\n" + "\n".join(["Not run:\n", *(f"- {name}" for name in missing)]) + "\n" if missing else ""
    return text + _markdown(["", "alone", "given the other's past", "given its frame, too"], rows) + note


def _heldout(results: Path) -> str:
    """Lay what `quality.heldout` measured beside real pieces and the targets."""
    text = (
        "Twelve pieces of 64 bars of a model that was trained with the default settings on every other tune of\n"
        "Nottingham, beside the 120 other tunes; 24 pieces that end by themselves for the last row\n"
        "(`python -m quality.heldout`). The temperature of returning phrases is fitted to the\n"
        "validation tunes, the other constants of sampling were chosen beside the training tunes.\n"
        "`varied-2` is a model with two varied echoes (`python -m quality.heldout … --varied 2`): they make frames\n"
        "likelier ([less work](#less-work)), but phrases return less, so there are none by default.\n\n"
    )
    rows: list[list[Any]] = []
    for path in sorted(results.glob("*.json")):
        found = json.loads(path.read_text(encoding="utf-8"))
        measures, alike = found["measures"], found["resemblance"]
        for name, (target, at_most) in HELD_OUT.items():
            if name == "last top note is the tonic":
                drawn, real = found["endings"]["samples"], found["endings"]["real"]
            elif name in measures:
                drawn, real = measures[name]["samples"], measures[name]["real"]
            elif name == "copied share":
                drawn, real = found["copied"]["samples"]["share"], found["copied"]["real"]["share"]
                target = 1.5 * real
            else:
                drawn = alike[name]["mean"]
                real = 1.0 if name == "frechet ratio" else alike["neighbour accuracy, real"]["mean"]
            met = drawn <= target if at_most else drawn >= target
            bar = f"{'≤' if at_most else '≥'} {target:.2f}"
            rows.append([path.stem, name, float(drawn), float(real), bar, "met" if met else "missed"])
    return text + _markdown(["run", "measure", "generated", "real", "target", ""], rows)


def _training(found: dict[str, Any]) -> str:
    head = ["recipe", "parameters", "epochs", "best", "minutes", "seed", "validation", "test", "F1"]
    rows = []
    for name, result in found.items():
        test, minutes = result["scores"]["test"], f"{result['minutes']:.0f}"
        if result["cpu_minutes"] is not None:
            minutes += f" ({result['cpu_minutes']:.0f} CPU)"
        nats = [result["scores"][split]["nats_per_frame"] for split in ("validation", "test")]
        counts = (f"{result['parameters']:,}", str(result["epochs"]), str(result["best_epoch"]))
        rows.append([name, *counts, minutes, str(result["train"]["seed"]), *nats, test["f1"]])
    versions = sorted({", ".join(f"{k} {v}" for k, v in result["versions"].items()) for result in found.values()})
    text = (
        "One thread each, on a machine of two cores that was shared with other work and stopped now and then: the CPU\n"
        "minutes are the measure. A recipe may take 60 (half an hour of two cores). F1 is at probability one half.\n\n"
    )
    return text + _markdown(head, rows) + "\n" + "\n".join(f"Versions: {line}." for line in versions) + "\n"


def _less_work(results: Path) -> str:
    """Return what the runs of `quality.lesswork` cost and reached, and which have not been run."""
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for path in sorted(results.glob("*.json")):
        one = json.loads(path.read_text(encoding="utf-8"))
        found.setdefault((one["corpus"], one["run"]), []).append(one)
    rows: list[list[Any]] = []
    for (corpus, name), trainings in found.items():
        changes = {**trainings[0]["model"], **trainings[0]["train"]}
        usual = found.get((corpus, "default"))
        rows.append(
            [
                corpus,
                name,
                ", ".join(f"{key} {value}" for key, value in changes.items()),
                _spread([min(one["nats"]) for one in trainings]),
                f"{_cpu_minutes(trainings):.1f}",
                usual and f"{_cpu_minutes(trainings) / _cpu_minutes(usual):.2f}",
                f"{_cpu_minutes(trainings, PATIENCE):.1f}",
                _spread([min(one["nats"][: _epochs(one, PATIENCE)]) for one in trainings]),
            ]
        )
    missing = [f"{corpus}:{name}" for corpus in CORPORA for name in RUNS if (corpus, name) not in found]
    ended = sum(len(one["nats"]) < one["train"]["epochs"] for trainings in found.values() for one in trainings)
    text = (
        "What reaches the loss of a training of 20 epochs (64 units, two layers, 50 + 50 frames, batch 8) in less CPU\n"
        "time? Best validation loss and CPU minutes of runs that change these fields; `python -m quality.lesswork`.\n"
        "`folk` are 240 tunes at 4 steps a beat, with onsets; `jsb` the chorales; `pop909` 160 songs like `folk`. The\n"
        f"last two columns are what `--patience {PATIENCE}` would have made of the same trainings.\n"
        "`wide-8`, `varied-4`, `wide-5` of `folk` and its default's seeds 1 and 2 were trained on other machines than\n"
        "the rest, beside more work: there, an epoch took up to 1.3 or 1.4 times as long.\n\n"
    )
    if ended:
        text += (
            f"{ended} of the trainings were ended early, when validation got no better; what all of their epochs\n"
            "would have cost is reckoned from those that they had.\n\n"
        )
    head = ["corpus", "run", "changes", "validation", "CPU minutes", "of the default's", "with patience", "validation"]
    lines = [line for corpus in CORPORA if (line := _cheapest(corpus, found)) is not None]
    if missing:
        lines.append(f"- Not run: {', '.join(missing)}.")
    return text + _markdown(head, rows) + "\n" + "\n".join(lines) + "\n"


def _cheapest(corpus: str, found: dict[tuple[str, str], list[dict[str, Any]]]) -> str | None:
    """Say which run reaches in the mean what the default reaches at its best, and with how much of its CPU time."""

    def reached(name: str) -> float:
        return statistics.mean(min(one["nats"]) for one in found[corpus, name])

    if (corpus, "default") not in found:
        return None
    others = [name for place, name in found if place == corpus and name != "default"]
    if not others:
        return None
    cheaper = [name for name in others if reached(name) <= reached("default")]
    # The cheapest that is as good; if none is, the best of all.
    name = min(cheaper, key=lambda name: _cpu_minutes(found[corpus, name])) if cheaper else min(others, key=reached)
    share = _cpu_minutes(found[corpus, name]) / _cpu_minutes(found[corpus, "default"])
    usual = f"{share:.2f} of the CPU time of the default, which reaches {reached('default'):.3f}"
    missed = "" if cheaper else f": missed by {reached(name) - reached('default'):.3f}"
    return f"- {corpus}: `{name}` reaches {reached(name):.3f} with {usual}{missed}."


def _epochs(training: dict[str, Any], patience: int) -> int:
    """Return how many epochs a training has that ends after so many without a better one."""
    history = [{"epoch": epoch + 1.0, VALIDATION: nats} for epoch, nats in enumerate(training["nats"])]
    over = (n for n in range(1, len(history)) if out_of_patience(history[:n], patience))
    return next(over, len(history))


def _cpu_minutes(trainings: list[dict[str, Any]], patience: int | None = None) -> float:
    """Return the CPU minutes of trainings in the mean, all epochs or as many as *patience* leaves.

    Epochs that a training did not reach are taken for as long as its others.
    """
    if patience is None:
        seconds = [one["cpu_s"][-1] * one["train"]["epochs"] / len(one["cpu_s"]) for one in trainings]
    else:
        seconds = [one["cpu_s"][_epochs(one, patience) - 1] for one in trainings]
    return statistics.mean(seconds) / 60


def _presets(results: Path) -> str:
    """Return what `quality.presets` measured."""
    head = ["", "CPU minutes", "validation", "unseen songs", *MUSIC, "Fréchet ratio", "nearest neighbour"]
    rows: list[list[Any]] = []
    for corpus in presets.CORPORA:
        real: list[Any] | None = None
        for preset in presets.PRESETS:
            path = results / f"{corpus}-{preset}.json"
            if not path.exists():
                continue
            one = json.loads(path.read_text(encoding="utf-8"))
            measures, alike = one["samples"]["measures"], one["samples"]["resemblance"]
            numbers: list[Any] = [f"{one['cpu_minutes']:.1f}", one["validation"], one["test"]]
            numbers += [float(measures[name]["samples"]) for name in MUSIC.values()]
            numbers += [alike[name]["mean"] for name in ("frechet ratio", "neighbour accuracy")]
            rows.append([f"`{preset}`, {corpus}", *numbers])
            real = [float(measures[name]["real"]) for name in MUSIC.values()]
            real += [1.0, alike["neighbour accuracy, real"]["mean"]]
        if real is not None:
            rows.append([f"real, {corpus}", *[None] * 3, *real])
    text = (
        "Forty songs, four of them for validation, and sixty that were not seen; twelve pieces of 64 bars without a\n"
        "primer (`python -m quality.presets`). CPU minutes are those of the whole command; two cores do two a minute.\n"
        "`large` is for a GPU and for more songs than these; this is what it takes on a CPU. It has not been run on\n"
        "POP909, whose rows are of a slower machine than the folk tunes'.\n\n"
    )
    note = (
        "\nOf twelve pieces, Fréchet ratios swing: before trainings fitted how returning phrases are drawn\n"
        "([generation.md](generation.md#how-a-frame-is-drawn)), `quick` had 1.43 on the folk tunes and `standard`\n"
        "4.86. On POP909, no bar comes back after so short a training.\n"
    )
    return text + _markdown(head, rows) + note


def _markdown(head: list[str], rows: list[list[Any]]) -> str:
    """Return a table; numbers get three decimals, what is missing a dash."""
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for row in rows:
        cells = ("–" if cell is None else f"{cell:.3f}" if isinstance(cell, float) else str(cell) for cell in row)  # noqa: RUF001
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"
