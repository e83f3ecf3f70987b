"""The guard of ``conftest.py`` that keeps tests off the network."""

import shutil
import subprocess
import sys
from pathlib import Path

CONFTEST = Path(__file__).resolve().parents[2] / "conftest.py"

TESTS = """
import socket, urllib.request


def test_that_asks_for_a_name():
    try:
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open("http://example.org")
    except OSError:
        pass


def test_that_connects_to_an_address():
    with socket.socket() as caller:
        caller.settimeout(1)
        caller.connect_ex(("192.0.2.1", 80))


def test_that_stays_on_this_machine():
    with socket.create_server(("localhost", 0)) as server:
        socket.create_connection(server.getsockname()[:2]).close()


def test_that_uses_the_environment():
    try:
        urllib.request.urlopen("http://example.org", timeout=1)
    except OSError as error:
        assert "refused" in str(error)
"""


def test_tests_that_use_the_network_fail_and_others_do_not(tmp_path):
    shutil.copy(CONFTEST, tmp_path)
    (tmp_path / "test_network.py").write_text(TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    command = [sys.executable, "-m", "pytest", "-rA", "-p", "no:cacheprovider", str(tmp_path)]
    said = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path).stdout
    assert "test_that_asks_for_a_name" in said
    assert "The test asked for example.org" in said
    assert "192.0.2.1" in said
    assert "PASSED test_network.py::test_that_stays_on_this_machine" in said
    assert "PASSED test_network.py::test_that_uses_the_environment" in said
    assert said.count("ERROR test_network.py") == 2, said
