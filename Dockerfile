# docker build -t r1chat . && docker run -p 8000:8000 -e R1CHAT_API_KEY=secret r1chat
# The server refuses to listen to the network without a key, so without R1CHAT_API_KEY it ends with that line.

FROM python:3.11-slim AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends g++ make \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
RUN python -m venv /opt/r1chat
ENV PATH=/opt/r1chat/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
COPY constraints.txt ./
COPY cmake cmake
# The image runs on other processors than the one it is built on, so llama.cpp must not tune for this one.
ARG CMAKE_ARGS="-DGGML_NATIVE=OFF"
RUN pip install --constraint constraints.txt \
        --config-settings=cmake.define.LLAVA_BUILD=OFF \
        --config-settings=cmake.define.CMAKE_PROJECT_llama.cpp_INCLUDE=/src/cmake/llama_only.cmake \
        llama-cpp-python
COPY . .
RUN pip install --constraint constraints.txt .

FROM python:3.11-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home r1chat
COPY --from=build /opt/r1chat /opt/r1chat
ENV PATH=/opt/r1chat/bin:$PATH
USER r1chat
WORKDIR /home/r1chat
# Downloaded models lie in the one, conversations, students and runs in the other. Made before they become volumes, so
# that they belong to the user.
RUN mkdir -p .cache/huggingface .local/share/r1chat
VOLUME ["/home/r1chat/.cache/huggingface", "/home/r1chat/.local/share/r1chat"]
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=5s --start-period=120s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/health', timeout=4)"]
ENTRYPOINT ["r1chat"]
CMD ["serve", "--host", "0.0.0.0"]
