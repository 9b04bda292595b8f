# The studio's server on a CPU, from this repository alone:
#   docker build -t cnnart .
#   docker run --rm -p 127.0.0.1:8321:8321 -v "$PWD/painted:/painted" cnnart
# It prints the token that every request needs. The page: docker run ... cnnart studio --no-open --host 0.0.0.0
FROM python:3.12-slim

RUN pip install --no-cache-dir torch torchvision --index-url https://download.pytorch.org/whl/cpu
COPY pyproject.toml README.md LICENSE /src/
COPY cnnart /src/cnnart
COPY styles /src/styles
COPY docs/cnnart.1 /src/docs/cnnart.1
RUN pip install --no-cache-dir '/src[studio,video,inspect,formats]' && rm -r /src \
    && useradd --create-home painter && mkdir /painted && chown painter /painted

USER painter
WORKDIR /painted
ENV CNNART_OFFLINE=1
EXPOSE 8321
ENTRYPOINT ["cnnart"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8321", "-o", "/painted"]
