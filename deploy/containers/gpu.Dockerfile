# docker build -f deploy/containers/gpu.Dockerfile --build-arg PADDLE_INDEX=<Paddle's index for CUDA 12.6> -t ppmm-serve:gpu .
# docker run --gpus all -p 8000:8000 -v $PWD/output/quickstart/bundle:/bundle:ro ppmm-serve:gpu      (never built by us)
FROM nvidia/cuda:12.6.3-cudnn-runtime-ubuntu22.04
ARG PADDLE_INDEX
ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 XDG_CACHE_HOME=/cache DEBIAN_FRONTEND=noninteractive
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
# hadolint ignore=DL3008
RUN apt-get update && apt-get install --yes --no-install-recommends python3.10 python3-pip && rm -rf /var/lib/apt/lists/*
WORKDIR /srv/ppmm
COPY requirements-serve.txt constraints/py310-serve.txt ./
RUN sed -i '/^paddlepaddle==/d' requirements-serve.txt py310-serve.txt \
    && pip install --requirement requirements-serve.txt --constraint py310-serve.txt \
    && pip install --extra-index-url "${PADDLE_INDEX}" paddlepaddle-gpu==3.1.1
COPY setup.py pyproject.toml ./
COPY ppmm ppmm
COPY deploy deploy
RUN pip install --no-deps --no-build-isolation . && useradd --create-home --uid 1000 ppmm && install -d -o ppmm /cache
USER 1000
EXPOSE 8000 8001
HEALTHCHECK CMD ["python3", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/readyz')"]
ENTRYPOINT ["python3", "deploy/serve.py"]
CMD ["model=/bundle", "--host", "0.0.0.0", "--device", "gpu:0"]
