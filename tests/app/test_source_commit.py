"""The commit against what git itself says."""

import subprocess

from ppmm.app.source_commit import source_commit


def git(root, *arguments):
    settings = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    return subprocess.run(["git", "-C", root, *settings, *arguments], capture_output=True, text=True, check=True).stdout


def test_clean_changed_and_absent(tmp_path):
    assert source_commit(tmp_path) is None
    git(tmp_path, "init", "-q")
    assert source_commit(tmp_path) is None  # nothing is committed yet
    (tmp_path / "file").write_text("1")
    git(tmp_path, "add", "file")
    git(tmp_path, "commit", "-q", "-m", "one")
    commit = git(tmp_path, "rev-parse", "HEAD")[:12]
    (tmp_path / "untracked").write_text("")
    assert source_commit(tmp_path) == commit
    (tmp_path / "file").write_text("2")
    assert source_commit(tmp_path) == f"{commit}+"
