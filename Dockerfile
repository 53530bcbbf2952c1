# The page and the API in a container:
#
#   docker build -t facial-recognition .
#   docker run --rm -p 127.0.0.1:5000:5000 --read-only facial-recognition
#
# It runs with a read-only file system because comparing writes nothing. To train on one's own
# face it needs a place for the model: docs/serving.md, "In a container".
FROM python:3.13-slim

ENV PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1

WORKDIR /srv/facial-recognition

# First what changes rarely, so that a rebuild need not fetch it again.
COPY requirements.lock ./
RUN pip install --require-hashes --only-binary :all: -r requirements.lock

COPY siamese_model_final.h5 siamese_model_final.json ./
COPY flaskapp ./flaskapp

RUN python -m compileall -q flaskapp \
    && useradd --system --no-create-home --shell /usr/sbin/nologin faces \
    && install --directory --owner=faces /srv/own-face
USER faces
WORKDIR /srv/own-face

# All addresses of the container; which of them the world sees, -p decides.
ENV HOST=0.0.0.0 \
    PORT=5000
EXPOSE 5000

HEALTHCHECK --interval=30s --timeout=5s --start-period=20s CMD ["python", "-c", \
    "import os, urllib.request as u; u.urlopen(f'http://localhost:{os.environ[\"PORT\"]}/healthz', timeout=4)"]

CMD ["python", "/srv/facial-recognition/flaskapp/app.py"]
