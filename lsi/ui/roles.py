"""Who may do what in the app: roles by e-mail address, domain or claim, as a TOML file lists them.

    viewer = ["*"]                                # whoever signs in
    reviewer = ["@example.org", "groups=labels"]  # a domain; a claim that has this value, or a list with it
    admin = ["ann@example.org"]

Each role may do what those before it may. Who is in no list has none.
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from lsi.errors import UsageError

Role = Literal["viewer", "reviewer", "admin"]
ROLES: tuple[Role, ...] = ("viewer", "reviewer", "admin")


def read_roles(path: Path) -> dict[Role, tuple[str, ...]]:
    """Return the entries of each role.

    Raises:
        UsageError: the file cannot be read, is no TOML, or holds something else than lists of text by role.
    """
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: the file of roles cannot be read: {error}") from error
    strange = sorted(set(found) - set(ROLES))
    if strange:
        raise UsageError(f"{path}: {', '.join(strange)}: no such role; there are {', '.join(ROLES)}.")
    for role, entries in found.items():
        if not isinstance(entries, list) or not all(isinstance(e, str) and e.strip() for e in entries):
            raise UsageError(f"{path}: {role} is a list of addresses, @domains, claim=value or *.")
    return {role: tuple(e.strip() for e in found.get(role, ())) for role in ROLES}


def email_of(claims: Mapping[str, Any]) -> str:
    """Return the e-mail address of a person, empty where the provider says that it is not verified.

    Anybody may enter such an address: it is no name to decide under, and reaches no role.
    """
    is_verified = claims.get("email_verified", True) in (True, "true")
    return str(claims.get("email") or "") if is_verified else ""


def name_of(claims: Mapping[str, Any]) -> str:
    """Return under which name a person decides: the address, or else what the provider numbers people by.

    What a provider calls people (`name`) is for anybody to choose.
    """
    return email_of(claims) or str(claims.get("sub") or "unknown")


def role_of(claims: Mapping[str, Any], roles: Mapping[Role, tuple[str, ...]]) -> Role | None:
    """Return the highest role that the claims of a person reach, if any.

    Args:
        claims: what the provider says of the person, by OpenID Connect's names.
        roles: the entries of each role.
    """
    known = {**claims, "email": email_of(claims) or ()}
    reached: list[Role] = [role for role in ROLES if any(_fits(e, known) for e in roles.get(role, ()))]
    return reached[-1] if reached else None


def _fits(entry: str, claims: Mapping[str, Any]) -> bool:
    """Say whether an entry is about a person; the `email` of the claims is one that counts."""
    if entry == "*":
        return True
    name, is_claim, value = entry.partition("=")
    if is_claim:
        held = claims.get(name, ())
        return value in [str(one) for one in (held if isinstance(held, list | tuple) else [held])]
    email = str(claims["email"] or "").lower()
    if entry.startswith("@"):
        return email.endswith(entry.lower()) and email.count("@") == 1
    return bool(email) and email == entry.lower()
