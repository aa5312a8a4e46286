"""Files with personal data are private, and take the place of nothing else."""

from __future__ import annotations

import os
import stat
import threading

import pytest

from appcrm.errors import SettingsError
from appcrm.private_file import check_writable, open_private, replace_private


def append(path):
    with open_private(str(path), "receipts_path") as file:
        file.write(b"new\n")


def replace(path):
    replace_private(str(path), b"new\n", "receipt_path")


WRITERS = pytest.mark.parametrize("write", [append, replace])


def mode_of(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(autouse=True)
def open_umask():
    before = os.umask(0)
    yield
    os.umask(before)


@WRITERS
def test_a_new_file_and_its_new_folders_are_private_whatever_the_umask(write, tmp_path):
    path = tmp_path / "a" / "b" / "file.jsonl"
    write(path)
    assert path.read_bytes() == b"new\n"
    assert mode_of(path) == 0o600
    assert mode_of(path.parent) == mode_of(path.parent.parent) == 0o700


@WRITERS
def test_a_wider_file_is_tightened(write, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"")
    path.chmod(0o666)
    write(path)
    assert mode_of(path) == 0o600


@WRITERS
@pytest.mark.parametrize("exists", [True, False])
def test_a_symbolic_link_is_refused_and_its_target_untouched(write, tmp_path, exists):
    victim = tmp_path / "victim"
    if exists:
        victim.write_bytes(b"old\n")
    link = tmp_path / "link"
    link.symlink_to(victim)
    with pytest.raises(SettingsError, match="symbolic link"):
        write(link)
    assert link.is_symlink()
    assert victim.exists() == exists
    assert not exists or victim.read_bytes() == b"old\n"


@WRITERS
def test_a_folder_that_is_a_symbolic_link_is_the_users_own(write, tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "folder").symlink_to(tmp_path / "real")
    write(tmp_path / "folder" / "file")
    assert (tmp_path / "real" / "file").read_bytes() == b"new\n"


@WRITERS
def test_a_device_is_written_through_and_never_replaced(write):
    write("/dev/null")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)  # noqa: PTH116  it is no file


def test_a_full_device_says_so():
    with pytest.raises(SettingsError, match="No space left"):
        replace("/dev/full")


@WRITERS
def test_a_fifo_is_written_through_to_whoever_reads_it(write, tmp_path):
    path = tmp_path / "fifo"
    os.mkfifo(path)
    # A reader that is there before: opening both ways does not wait for the other end.
    reader = os.open(path, os.O_RDWR)
    write(path)
    assert os.read(reader, 10) == b"new\n"
    os.close(reader)
    assert stat.S_ISFIFO(path.stat().st_mode)


@WRITERS
def test_a_fifo_that_nobody_reads_is_refused_instead_of_waited_for(write, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(SettingsError, match="cannot be written"):
        write(tmp_path / "fifo")


@WRITERS
def test_a_folder_or_a_folder_below_a_file_is_named(write, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    for path in (tmp_path, tmp_path / "file" / "below"):
        with pytest.raises(SettingsError, match=r"receipts?_path: "):
            write(path)


def test_appending_goes_behind_a_whole_last_line(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old\nhalf")
    append(path)
    assert path.read_bytes() == b"old\nhalf\nnew\n"


def test_what_was_there_stays_when_a_replacement_fails(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(b"old\n")

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SettingsError, match="No space left"):
        replace(path)
    assert path.read_bytes() == b"old\n"
    assert os.listdir(tmp_path) == ["file"]  # noqa: PTH208  only names matter


def test_two_runs_may_make_a_folder_at_once(tmp_path):
    threads = [threading.Thread(target=append, args=(tmp_path / "a" / "b" / str(n),)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(list((tmp_path / "a" / "b").iterdir())) == 8


def test_a_path_is_checked_without_making_anything(tmp_path):
    check_writable(str(tmp_path / "a" / "b"), "rejects_path")
    assert not list(tmp_path.iterdir())
    with pytest.raises(SettingsError, match="directory"):
        check_writable(str(tmp_path), "rejects_path")
    (tmp_path / "link").symlink_to(tmp_path / "victim")
    with pytest.raises(SettingsError, match="symbolic link"):
        check_writable(str(tmp_path / "link"), "rejects_path")
