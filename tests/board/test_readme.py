"""What the README says of taking part works as it stands there, and as docs/ has it."""

import os
import re
import shlex
import subprocess
import sys

from tests.board.site import PATIENCE
from tests.conftest import ROOT

BLOCK = re.compile(r"^## Take part in a task.*?^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)


def test_the_commands_of_the_readme_take_part(board, person, tmp_path):
    one = person("reader")
    environment = {
        **os.environ, "SKYFED_TOKEN": one.token, "SKYFED_PARTICIPANT": str(one.home), "SKYFED_DATA": str(tmp_path),
        "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    said = []
    commands = BLOCK.search((ROOT / "README.md").read_text())[1].splitlines()
    for command in commands:
        command = command.replace("http://localhost:5000", board.address).replace("data/", f"{tmp_path}/")
        words = [sys.executable if word == "python3" else word for word in shlex.split(command)]
        if "train" in words:
            words.append("--anyway")  # a machine that tests is busy
        done = subprocess.run(
            words, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=PATIENCE
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        said.append(done.stdout)
    assert len(commands) == 5 and "joined as" in said[1]
    for told in said[2:]:
        assert "waiting" in told
