"""Units for systemd, as systemd sees them."""

import shutil
import subprocess

import pytest

from utils.units import in_command, listed, whole


def verified(*paths):
    """What systemd finds wrong with units; skipped where there is none."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze on this machine")
    done = subprocess.run(["systemd-analyze", "verify", *paths], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_the_servers_unit_is_one_and_restarts_always(run, ready, tmp_path):
    status, out, errors = run("units", tmp_path / "units")
    path = tmp_path / "units" / "skyfed-flower.service"
    assert (status, errors) == (0, "") and str(path) in out and "systemctl enable --now" in out
    text = path.read_text()
    assert "Restart=always\nRestartSec=10\n" in text and f"serve --folder {ready.folder}" in text
    assert "NoNewPrivileges=yes" in text and f"ReadWritePaths={ready.folder}" in text
    assert verified(path) == (0, "")


def test_without_setup_there_is_no_unit(run, home, tmp_path):
    status, _, errors = run("units", tmp_path / "units")
    assert status == 1 and "is not set up" in errors and not (tmp_path / "units").exists()


def test_paths_are_taken_as_they_are(tmp_path):
    path = tmp_path / "a %n b$c"
    path.mkdir()
    unit = tmp_path / "skyfed-it.service"
    settings = f"WorkingDirectory={whole(path)}\nReadWritePaths={listed(path)}\nExecStart=/bin/ls {in_command(path)}\n"
    unit.write_text(f"[Service]\n{settings}")
    assert verified(unit) == (0, "")
    assert in_command(path).endswith('a %%n b$$c"') and listed(path).endswith('b$c"')
