"""The files for Azure ML: its own loaders take them, and what those do not look at is right too."""

import importlib
import re
import shlex
from pathlib import Path

import pytest

yaml = pytest.importorskip("yaml", reason="needs PyYAML: pip install azure-ai-ml")
ml = pytest.importorskip("azure.ai.ml", reason="needs azure-ai-ml: pip install azure-ai-ml")

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "azureml"
LOADERS = {
    "environment.yml": "load_environment",
    "build.yml": "load_job",
    "train.yml": "load_job",
    "sweep.yml": "load_job",
    "model.yml": "load_model",
    "endpoint.yml": "load_online_endpoint",
    "deployment.yml": "load_online_deployment",
}
JOBS = [name for name, loader in LOADERS.items() if loader == "load_job"]


def contents(name):
    return yaml.safe_load((FOLDER / name).read_text())


def test_every_file_is_looked_at():
    assert {path.name for path in FOLDER.iterdir()} == LOADERS.keys()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", LOADERS)
def test_azure_loads_it(name):
    loaded = getattr(ml, LOADERS[name])(FOLDER / name)
    assert loaded is not None


@pytest.mark.parametrize("name", JOBS)
def test_what_a_command_refers_to_is_there(name):
    job = contents(name)
    command = job.get("trial", job)["command"]
    found = re.findall(r"\$\{\{(\w+)\.(\w+)\}\}", command)
    assert len(found) == command.count("${{")
    for kind, key in found:
        assert key in job[kind], f"{name}: {kind}.{key}"
    used = {key for kind, key in found if kind == "inputs"}
    assert used == job["inputs"].keys()
    assert job["compute"].startswith("azureml:")


@pytest.mark.parametrize("name", JOBS)
def test_our_own_commands_understand_it(name):
    job = contents(name)
    command = re.sub(r"\$\{\{\w+\.(dataset|midi|run)\}\}", r"place/\1", job.get("trial", job)["command"])
    program, name, *arguments = shlex.split(re.sub(r"\$\{\{[^}]*\}\}", "4", command))
    group = importlib.import_module(f"{program}.cli").cli
    found = group.get_command(None, name)
    context = found.make_context(name, arguments)
    assert context.params


def test_the_environment_is_built_from_a_dockerfile_that_is_there():
    build = contents("environment.yml")["build"]
    assert (FOLDER / build["path"] / build["dockerfile_path"]).resolve() == ROOT / "Dockerfile"
    sources = re.findall(r"^COPY (?!--from)(.*) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert sources
    for path in " ".join(sources).split():
        assert (ROOT / path).exists(), path


def test_names_agree():
    endpoint, deployment, model = (contents(f"{name}.yml") for name in ("endpoint", "deployment", "model"))
    assert deployment["endpoint_name"] == endpoint["name"]
    assert deployment["model"] == f"azureml:{model['name']}@latest"
    assert all(contents(name).get("trial", contents(name))["environment"] == "azureml:rollcore@latest" for name in JOBS)
