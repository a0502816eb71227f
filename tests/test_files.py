"""Files written whole or not at all, and numpy's files read without opening a pickle."""

import contextlib
import os

import numpy as np
import pytest

from ferjax import files
from ferjax.files import read_arrays, write_atomically


def test_a_file_is_replaced_and_nothing_else_is_left(tmp_path):
    path = tmp_path / "a.bin"
    write_atomically(path, b"old")
    write_atomically(str(path), b"new and longer")
    assert path.read_bytes() == b"new and longer"
    assert os.listdir(tmp_path) == ["a.bin"]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, step):
    path = tmp_path / "p.npz"
    write_atomically(path, b"old")

    def full_disk(*_):
        raise OSError("no space left")

    monkeypatch.setattr(os, step, full_disk)
    with pytest.raises(OSError, match="no space"):
        write_atomically(path, b"new and longer")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["p.npz"]


def test_the_new_file_reaches_the_disk_before_it_takes_the_old_ones_place(tmp_path, monkeypatch):
    path = tmp_path / "p.npz"
    write_atomically(path, b"old")
    seen = []
    synced = os.fsync

    def fsync(descriptor):
        seen.append(path.read_bytes())
        synced(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    write_atomically(path, b"new")
    assert seen == [b"old"]


def test_a_folder_is_written_whole_or_not_at_all(tmp_path):
    out = tmp_path / "above" / "out"
    for _ in range(2):  # what a killed process left is in nobody's way
        with contextlib.suppress(KeyError), files.new_folder(out) as folder:
            (folder / "half").write_text("x")
            raise KeyError
        assert list(out.parent.iterdir()) == []
    (out.parent / f".out.{os.getpid()}").mkdir()
    out.mkdir()
    with files.new_folder(out) as folder:
        (folder / "whole").write_text("x")
        assert list(out.iterdir()) == []
    assert [path.name for path in out.iterdir()] == ["whole"]
    umask = os.umask(0)
    os.umask(umask)
    assert out.stat().st_mode & 0o777 == 0o777 & ~umask
    with pytest.raises(FileExistsError, match="exists and is not empty"), files.new_folder(out):
        pass
    files.require_folder(tmp_path / "a" / "b", make=False)
    assert not (tmp_path / "a").exists()
    with pytest.raises(ValueError, match="whole is a file"):
        files.require_folder(out / "whole" / "x", make=False)
    with pytest.raises(ValueError, match="whole is a file"):
        files.require_new_folder(out / "whole" / "x")


def test_arrays_are_read_by_name(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.arange(3), y=np.eye(2))
    got = read_arrays(tmp_path / "a.npz")
    assert list(got) == ["x", "y"]
    np.testing.assert_array_equal(got["x"], np.arange(3))
    np.testing.assert_array_equal(got["y"], np.eye(2))
    np.save(tmp_path / "a.npy", np.arange(4))
    assert list(read_arrays(tmp_path / "a.npy")) == [""]
    np.testing.assert_array_equal(read_arrays(tmp_path / "a.npy")[""], np.arange(4))


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04 cut off", b"\x93NUMPY cut off"])
def test_other_files_are_refused_by_name(tmp_path, content):
    path = tmp_path / "a.npz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.npz: neither \.npz nor \.npy, or damaged"):
        read_arrays(path)


def test_no_pickle_is_opened(tmp_path):
    class Trap:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "sprung"),))

    np.savez(tmp_path / "a.npz", x=np.array([Trap()], object))
    np.save(tmp_path / "a.npy", np.array([Trap()], object))
    for name in ("a.npz", "a.npy"):
        with pytest.raises(ValueError, match="not one of numpy's files"):
            read_arrays(tmp_path / name)
    assert not (tmp_path / "sprung").exists()
