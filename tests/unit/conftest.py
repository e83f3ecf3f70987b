"""What the unit tests share: a web server on this machine, and what a good error sentence is."""

import hashlib
import http.server
import socket
import threading
import zlib

import numpy as np
import pytest


class FileServer:
    """Serves files from memory on 127.0.0.1, as well or as badly as it is told.

    Attributes:
        files: contents by name.
        ranges: whether it can go on in the middle of a file.
        marks: whether it sends an ETag.
        lengths: whether it sends a Content-Length (otherwise chunks).
        cut: bytes of an answer after which it closes the connection; ``None`` sends all.
        status: answered instead of the file, as 503.
        requests: the Range header (or ``None``) and the status of every answer.
    """

    def __init__(self):
        self.files = {}
        self.ranges, self.marks, self.lengths = True, True, True
        self.cut = self.status = None
        self.requests = []

    def add(self, name, content):
        """Adds a file; returns its address, and its size and hashes as ``download`` takes them."""
        self.files[name] = content
        checks = {
            "size": len(content),
            "md5": hashlib.md5(content).hexdigest(),
            "sha256": hashlib.sha256(content).hexdigest(),
        }
        return f"http://127.0.0.1:{self.port}/{name}", checks

    def answer(self, handler):
        wanted = handler.headers.get("Range")
        content = self.files.get(handler.path.strip("/"))
        if content is None or self.status:
            self.requests.append((wanted, self.status or 404))
            handler.send_error(self.status or 404)
            return
        mark = f'"{zlib.crc32(content):08x}"'
        status, first = 200, 0
        if wanted and self.ranges and handler.headers.get("If-Range", mark) == mark:
            status, first = 206, int(wanted.removeprefix("bytes=").removesuffix("-"))
            status = 206 if first < len(content) else 416
        self.requests.append((wanted, status))
        if status == 416:
            handler.send_error(416)
            return
        handler.send_response(status)
        if status == 206:
            handler.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
        if self.marks:
            handler.send_header("ETag", mark)
        body = content[first:]
        if self.lengths:
            handler.send_header("Content-Length", str(len(body)))
        else:
            handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        sent = body if self.cut is None else body[: self.cut]
        if self.lengths:
            handler.wfile.write(sent)
        else:
            end = b"" if self.cut is not None else b"0\r\n\r\n"
            handler.wfile.write(b"%x\r\n%s\r\n%s" % (len(sent), sent, end))
        handler.close_connection = True


@pytest.fixture
def server(monkeypatch):
    """A running ``FileServer``."""
    monkeypatch.setenv("no_proxy", "*")
    files = FileServer()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            files.answer(self)

        def log_message(self, *args):
            """Keeps the terminal quiet."""

    class QuietServer(http.server.ThreadingHTTPServer):
        def handle_error(self, request, client_address):
            """Keeps the terminal quiet when a client goes away in the middle."""

    with QuietServer(("127.0.0.1", 0), Handler) as web:
        files.port = web.server_address[1]
        thread = threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield files
        web.shutdown()
        thread.join()


@pytest.fixture
def closed_port(monkeypatch):
    """The number of a port of this machine that nobody listens to."""
    monkeypatch.setenv("no_proxy", "*")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    return port


@pytest.fixture
def sentence():
    """A function that returns an error's text after checking that it is one clear sentence."""

    def check(caught):
        text = str(caught.value)
        assert text.endswith("."), text
        assert "\n" not in text, text
        assert 30 < len(text) < 500, text
        return text

    return check


@pytest.fixture
def tree():
    """A function that lists everything below a folder, as sorted names."""
    return lambda folder: sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*"))


@pytest.fixture
def refuses_another_size(sentence):
    """A function that gives plain ``fit`` of a compiled model, for pictures of 28 x 28, lower ones,
    and checks the sentence that comes."""

    def check(model, x, y, trained_before):
        said = "and the networks were built for (28, 28, 1)"
        if trained_before:  # then TensorFlow leaves the height open
            model.fit(x[:2], y[:2], verbose=0)
        else:
            said = f"shape (20, 28, 1) {said}"
        with pytest.raises(ValueError) as caught:
            model.fit(x[:, :20], y, verbose=0)
        assert said in sentence(caught)

    return check


@pytest.fixture
def few_steps():
    """Options of ``compile`` for so few steps that no compiler pays but JAX's, which without it
    compiles each operation alone."""
    import keras

    jax = keras.backend.backend() == "jax"
    return {"run_eagerly": not jax, "jit_compile": jax}


@pytest.fixture
def survives():
    """A function that trains a compiled model for one step of plain ``fit``, on a batch with NaN in
    it, and checks that its loss is NaN and everything else finite."""

    def check(model, x, y):
        history = model.fit(x, y, batch_size=len(y), verbose=0).history
        assert np.isnan(history["loss"]).all()
        assert all(np.isfinite(value).all() for value in model.get_weights())
        moments = (np.asarray(ops.convert_to_numpy(v)) for v in model.optimizer.variables)
        assert all(np.isfinite(value).all() for value in moments)

    from keras import ops

    return check


@pytest.fixture
def recorder():
    """An optimizer that keeps the sum of the gradients, as ``kept``, and lets the weights be."""
    import keras

    class Recorder(keras.optimizers.SGD):
        def build(self, variables):
            super().build(variables)
            self.kept = [self.add_variable_from_reference(v, name="kept") for v in variables]

        def update_step(self, gradient, variable, learning_rate):
            self.assign_add(self.kept[self._get_variable_index(variable)], gradient)

    return Recorder(1.0)
