"""Real `flask run` backends, from Debian's python3-flask."""
import os
import subprocess
import sys

from .waiting import accepts, free_port, until

APP = '''\
import os
from flask import Flask, redirect, request, session

app = Flask(__name__)


@app.route("/")
def hello():
    return os.environ["GREETING"]


@app.route("/host")
def host():
    return request.host


@app.route("/go")
def go():
    return redirect(request.host_url + "there", code=302)


@app.route("/there")
def there():
    return "you are there"


@app.route("/form", methods=["POST"])
def form():
    return {"got": request.form.to_dict(), "length": request.content_length}
'''


class FlaskBackend:
    """`flask run` with a greeting; kill() is kill -9, start() brings it back on its port."""

    def __init__(self, folder, greeting, port=None):
        self.folder, self.greeting, self.port = folder, greeting, port or free_port()
        self.process = None
        (folder / "greeter.py").write_text(APP)
        self.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def start(self):
        environment = dict(os.environ, GREETING=self.greeting, PYTHONDONTWRITEBYTECODE="1")
        environment.pop("LD_PRELOAD", None)
        log = open(self.folder / f"flask-{self.port}.log", "ab")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "flask", "--app", "greeter", "run", "--port", str(self.port)],
            cwd=self.folder, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        log.close()
        until(lambda: self.process.poll() is not None or accepts(self.port),
              f"flask on port {self.port}")
        assert self.process.poll() is None, f"flask did not start on port {self.port}"

    def kill(self):
        self.process.kill()
        self.process.wait(10)

    def close(self):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(10)
