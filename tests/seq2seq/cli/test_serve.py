"""`seq2seq serve` as a process."""

import http.client
import http.server
import re
import signal
import subprocess
import sys

from seq2seq.cli import main
from untrained import write_untrained


def test_the_command_says_where_and_ends_on_request(tmp_path):
    weights = write_untrained(tmp_path / "tiny.safetensors")
    code = "import sys; from seq2seq.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", code, "serve", str(weights), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        line = process.stdout.readline()
        found = re.fullmatch(r"tiny: http://127\.0\.0\.1:(\d+)/ \(Ctrl-C ends\)\n", line)
        connection = http.client.HTTPConnection("127.0.0.1", int(found[1]), timeout=30)
        connection.request("GET", "/")
        assert connection.getresponse().status == 200
        connection.close()
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0


def test_a_port_that_is_taken_is_told(tmp_path, capsys):
    weights = write_untrained(tmp_path / "tiny.safetensors")
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as taken:
        assert main(["serve", str(weights), "--port", str(taken.server_address[1])]) == 1
    assert "cannot listen there" in capsys.readouterr().err
