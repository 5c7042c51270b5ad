# docker build -f deploy/containers/cpu.Dockerfile -t ppmm-serve:cpu .        (from the repository's root; never built by us)
# docker run -p 8000:8000 -p 8001:8001 -v $PWD/output/quickstart/bundle:/bundle:ro ppmm-serve:cpu
FROM python:3.11.14-slim-bookworm
ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 XDG_CACHE_HOME=/cache
WORKDIR /srv/ppmm
COPY requirements-serve.txt constraints/py311-serve.txt ./
RUN pip install --requirement requirements-serve.txt --constraint py311-serve.txt
COPY setup.py pyproject.toml ./
COPY ppmm ppmm
COPY deploy deploy
RUN pip install --no-deps --no-build-isolation . && useradd --create-home --uid 1000 ppmm && install -d -o ppmm /cache
USER 1000
EXPOSE 8000 8001
HEALTHCHECK CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/readyz')"]
ENTRYPOINT ["python", "deploy/serve.py"]
CMD ["model=/bundle", "--host", "0.0.0.0"]
