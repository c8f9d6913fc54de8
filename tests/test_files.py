"""A file is written whole or not at all, and an error says which."""

import errno

import pytest

from utils.files import atomic_write


def test_a_failed_write_leaves_the_old_file_and_no_draft(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(RuntimeError), atomic_write(path) as file:
        file.write(b"half")
        raise RuntimeError
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_an_error_of_the_disk_names_the_file(tmp_path):
    path = tmp_path / "file"
    with pytest.raises(OSError, match="No space") as error, atomic_write(path):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert error.value.filename == str(path)
