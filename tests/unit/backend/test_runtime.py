from __future__ import annotations

import os

from pyserve.backend.runtime import (
    LOCK_NAME,
    create_runtime_dir,
    locked_runtime_dir,
    remove_stale,
    try_lock,
)

LONG_AGO = (1, 1)


def make_dir(base, name, *, lock=True):
    directory = base / name
    directory.mkdir(mode=0o700)
    if lock:
        (directory / LOCK_NAME).touch()
    os.utime(directory, LONG_AGO)
    return directory


def test_the_directory_is_private_and_removed_in_the_end(tmp_path):
    with locked_runtime_dir(tmp_path) as directory:
        assert directory.parent == tmp_path
        assert directory.stat().st_mode & 0o777 == 0o700
        assert try_lock(directory) is None
    assert list(tmp_path.iterdir()) == []


def test_a_lock_is_free_again_when_its_holder_has_closed_it(tmp_path):
    first = try_lock(tmp_path)
    assert first is not None
    assert try_lock(tmp_path) is None
    os.close(first)
    second = try_lock(tmp_path)
    assert second is not None
    os.close(second)


def test_what_a_killed_server_left_is_removed(tmp_path):
    make_dir(tmp_path, "pyserve-dead")
    directory = create_runtime_dir(tmp_path)
    assert list(tmp_path.iterdir()) == [directory]


def test_directories_in_use_young_or_foreign_stay(tmp_path):
    used = make_dir(tmp_path, "pyserve-used")
    fd = try_lock(used)
    os.utime(used, LONG_AGO)
    make_dir(tmp_path, "other")
    make_dir(tmp_path, "pyserve-without-lock", lock=False)
    (tmp_path / "pyserve-young").mkdir()
    (tmp_path / "pyserve-young" / LOCK_NAME).touch()
    (tmp_path / "pyserve-link").symlink_to(tmp_path)
    before = sorted(tmp_path.iterdir())
    remove_stale(tmp_path)
    assert sorted(tmp_path.iterdir()) == before
    os.close(fd)
