"""Which role a person has."""

import os
from concurrent.futures import ThreadPoolExecutor

import pandas as pd
import pytest

from lsi.errors import StorageError, UsageError
from lsi.ui import login, runs_view
from lsi.ui.roles import name_of, read_roles, role_of

ROLES = {
    "viewer": ("*",),
    "reviewer": ("@example.org", "groups=labels", "team=7", "email=carl@third.org", "email="),
    "admin": ("Ann@Example.org", "sub=4711"),
}


@pytest.mark.parametrize(
    ("claims", "role"),
    [
        ({"email": "eve@other.org"}, "viewer"),
        ({}, "viewer"),
        ({"email": "bob@EXAMPLE.org"}, "reviewer"),
        ({"email": "bob@sub.example.org"}, "viewer"),
        ({"email": "bob@evil.org@example.org"}, "viewer"),
        ({"email": "bob@example.org", "email_verified": False}, "viewer"),
        ({"email": "bob@example.org", "email_verified": "false"}, "viewer"),
        ({"email": "bob@example.org", "email_verified": True}, "reviewer"),
        ({"email": "eve@other.org", "groups": ["cats", "labels"]}, "reviewer"),
        ({"email": "eve@other.org", "groups": "labels"}, "reviewer"),
        ({"email": "eve@other.org", "groups": ["labelsX"]}, "viewer"),
        ({"email": "eve@other.org", "team": 7}, "reviewer"),
        ({"email": "ann@example.org"}, "admin"),
        ({"email": "ann@example.org", "email_verified": False}, "viewer"),
        ({"email": "eve@other.org", "sub": "4711"}, "admin"),
        ({"email": "sub=4711"}, "viewer"),
        ({"email": "carl@third.org"}, "reviewer"),
        ({"email": "carl@third.org", "email_verified": False}, "viewer"),
    ],
)
def test_the_highest_role_that_a_claim_reaches(claims, role):
    assert role_of(claims, ROLES) == role


@pytest.mark.parametrize(
    ("claims", "name"),
    [
        ({"email": "Ann@example.org", "name": "Ann", "sub": "4711"}, "Ann@example.org"),
        ({"email": "ann@example.org", "email_verified": True, "sub": "4711"}, "ann@example.org"),
        ({"email": "ann@example.org", "email_verified": False, "name": "Ann", "sub": "4711"}, "4711"),
        ({"name": "ann@example.org", "sub": "4711"}, "4711"),
        ({"email": "ann@example.org", "email_verified": False}, "unknown"),
    ],
)
def test_nobody_decides_under_a_name_that_anybody_may_enter(claims, name):
    assert name_of(claims) == name


def test_who_is_in_no_list_has_no_role():
    assert role_of({"email": "eve@other.org"}, ROLES | {"viewer": ()}) is None
    assert role_of({}, {"viewer": ("",), "admin": ()}) is None


def test_a_file_of_roles_is_read(tmp_path):
    path = tmp_path / "roles.toml"
    path.write_text('viewer = ["*"]\nadmin = [" ann@example.org "]\n')
    assert read_roles(path) == {"viewer": ("*",), "reviewer": (), "admin": ("ann@example.org",)}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('editor = ["*"]', "editor: no such role"),
        ('admin = "ann@example.org"', "admin is a list"),
        ("admin = [7]", "admin is a list"),
        ('admin = [""]', "admin is a list"),
        ("admin =", "cannot be read"),
    ],
)
def test_a_file_of_roles_that_says_something_else_is_refused(tmp_path, text, message):
    path = tmp_path / "roles.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=message):
        read_roles(path)


def test_a_file_of_roles_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(UsageError, match="cannot be read"):
        read_roles(tmp_path / "none.toml")


def test_the_trail_is_a_file_for_admins_in_a_thread_without_a_session_too(tmp_path, monkeypatch):
    path = tmp_path / "roles.toml"
    path.write_text('admin = ["ann@example.org"]')
    monkeypatch.setenv("LSI_ROLES", str(path))
    monkeypatch.setattr(login, "is_required", lambda: True)
    monkeypatch.setattr(login, "_claims", lambda headers, peer: {"email": "ann@example.org"})
    rows = pd.DataFrame({"time": pd.to_datetime(["2026-01-01"]), "who": "bob", "what": "deleted"})
    monkeypatch.setattr(runs_view, "reviews", lambda: None)
    monkeypatch.setattr(runs_view, "trail", lambda reviews, count=0: rows.assign(about="a", facts="{}"))
    given = []
    monkeypatch.setattr(runs_view.st, "download_button", lambda label, data, *more, **options: given.append(data))
    runs_view.what_was_done()
    monkeypatch.setattr(login, "_claims", lambda headers, peer: None)
    with ThreadPoolExecutor() as pool:
        assert "bob,deleted" in pool.submit(given[0]).result()
        path.write_text('viewer = ["ann@example.org"]')
        os.utime(path, (1, 1))
        assert pool.submit(given[0]).result() == "An admin alone reads this.\n"


def test_the_right_to_decide_follows_the_roles_of_the_moment_and_not_the_connection(tmp_path, monkeypatch):
    """Who it is is read while the page is drawn: one that is being left has no headers any more."""
    path = tmp_path / "roles.toml"
    monkeypatch.setenv("LSI_ROLES", str(path))
    monkeypatch.setattr(login, "is_required", lambda: True)
    monkeypatch.setattr(login, "_claims", lambda headers, peer: {"email": "ann@example.org"})
    may_decide = login.right_of("reviewer", "admin")
    monkeypatch.setattr(login, "_claims", lambda headers, peer: None)
    for number, (role, may) in enumerate((("reviewer", True), ("viewer", False), ("admin", True))):
        path.write_text(f'{role} = ["ann@example.org"]')
        os.utime(path, (number, number))
        assert may_decide() == may
    assert not login.right_of("reviewer", "admin")()
    path.unlink()
    with pytest.raises(StorageError):  # it waits, and is not refused
        may_decide()
