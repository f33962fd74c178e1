# The commands rollcore and seq2seq with all they need. docs/docker.md walks through it.
#   docker build --build-arg DEVICE=cpu -t rollcore:cpu .
#   docker build -t rollcore:gpu .          (runs on a CPU too, and is some gigabytes larger: it brings CUDA)
# Another base has to have Python 3.10 to 3.13 with its headers and pip, and apt.
ARG BASE=python:3.12-slim-bookworm

FROM ${BASE} AS wheel
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY pyproject.toml setup.py MANIFEST.in README.md LICENSE ./
COPY src src
RUN python -m pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM ${BASE}
# cpu or gpu. The default is what Azure ML builds, which cannot be given an argument.
ARG DEVICE=gpu
COPY --from=wheel /wheels /wheels
# The wheel is of these sources; what it needs is bounded by pyproject.toml.
# hadolint ignore=DL3013
RUN wheel="$(echo /wheels/*.whl)" \
    && python -m pip install --no-cache-dir "${wheel}[${DEVICE},plot,zstd,parquet,azure,azureml]" \
    && rm -rf /wheels \
    && useradd --create-home --uid 1000 music
USER 1000
WORKDIR /home/music
# Not an entry point: Azure ML runs a shell in the image, and there are two commands.
CMD ["seq2seq", "--help"]
