"""Tokenizes columns of staged tables after the snapshot is gone: their parts are written again, and what tells of them.

The rows stay the same, and so do their numbers and the digest of what a restore gives: only what is stored differs. The
files that were staged before stay until the run is wiped, so that the step can be done again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from io import BytesIO
from itertools import count
from threading import Lock
from typing import Any, Final

from ..anonymize.actions import Tokenize, words_of
from ..anonymize.policies import Policies
from ..config.residency import BASE
from ..format.change_state import SUBJECT as STATE_JSON
from ..format.change_state import ChangeState
from ..format.digest import Xxh3RowDigest
from ..format.names import table_segment
from ..format.profile import SUBJECT as PROFILE
from ..format.profile import Profile
from ..format.rows import PartWriter, read_part
from ..format.zone_profile import SUBJECT as ZONE_PROFILE
from ..format.zone_profile import ZoneProfile
from ..sources.port import table_title
from .members import StagedMember, StagedMembers, unpacked
from .parallel import THREADS, run_all
from .tracking import saved_as
from .wiring import Wiring
from .workspace import Workspace

KIND: Final = "covered"  # what the files written here are called in the workspace
_WHOLE: Final = 1 << 62  # bytes: a part stays one part

Columns = Mapping[int, Mapping[str, str]]  # place of a table in the profile > column > kind of data found in it


def cover(
    wiring: Wiring, workspace: Workspace, staged: Mapping[str, Any], columns: Columns, warnings: Sequence[str]
) -> dict[str, Any]:
    """What goes in the place of the snapshot's own: members, state_members, profile and the digests of profiles.

    ``warnings`` go into the profile. Raises KeyUnavailable without a tokenization key.
    """
    for leftover in workspace.folder.glob(f"{KIND}-*"):
        workspace.remove_file(leftover.name)
    made = StagedMembers(workspace, KIND)
    tables = [_CoveredTable(wiring, workspace, staged, place, found, made) for place, found in columns.items()]
    run_all([partial(table.write, member) for table in tables for member in table.parts], THREADS)
    profile = _profile(staged["profile"], tables, warnings)
    made.add(PROFILE, Profile.from_dict(profile, PROFILE).to_bytes())
    for zone in sorted(set(staged["profiles"]) & {zone for table in tables for zone in table.stored}):
        _add_zone(workspace, staged, tables, made, zone)
    _add_state(workspace, staged, columns, made)
    state = {member["name"] for member in staged["state_members"]}
    documents = [one for one in made.members if one.name in (PROFILE, ZONE_PROFILE)]
    return {
        "members": _instead(staged["members"], [one for one in made.members if one.name not in state]),
        "state_members": _instead(staged["state_members"], [one for one in made.members if one.name in state]),
        "profile": profile,
        "profiles": {**staged["profiles"], **{one.zone: one.sha256 for one in documents}},
    }


class _CoveredTable:
    """One table: its parts, and by zone the digest of what they hold now. ``write`` may run in several threads."""

    def __init__(
        self,
        wiring: Wiring,
        workspace: Workspace,
        staged: Mapping[str, Any],
        place: int,
        columns: Mapping[str, str],
        made: StagedMembers,
    ) -> None:
        table = staged["profile"]["tables"][place]
        self.place, self.columns, self.key = place, columns, (table["schema"], table["name"])
        self._title = table_title(*self.key, table["options"])
        folder = f"data/{table_segment(*self.key)}/"
        members = (StagedMember(**member) for member in staged["members"])
        self.parts = [member for member in members if member.name.startswith(folder)]
        nullable = {column["name"]: column["nullable"] for column in table["columns"]}
        self._policies = Policies(self._title, dict.fromkeys(columns, Tokenize()), wiring.tokenization_secret, nullable)
        self._policies.check(list(nullable))
        self._new = partial(Xxh3RowDigest, bytes.fromhex(staged["profile"]["digest_key"]))
        self.stored = {member.zone: self._new() for member in self.parts}
        self._workspace, self._made, self._progress = workspace, made, wiring.progress
        self._done, self._one = count(1), Lock()

    def write(self, member: StagedMember) -> None:
        """A part again, with tokens for the values of its columns, and for those that were tokens in part."""
        digest = self._new()
        with self._workspace.open_file(member.file) as file:
            part = BytesIO(file.read())  # bounded, as parts are
        with self._made.stored(member.name, member.zone) as sink:
            writer = PartWriter(lambda number: sink, max_part_bytes=_WHOLE, subject=self._title)
            for batch in read_part(part, member.name):
                covered = self._policies.apply(self._policies.reverse(batch, only=self.columns))
                digest.update(covered)
                writer.write(covered)
            writer.close()
        with self._one:
            self.stored[member.zone] += digest
        self._progress(f"tokenize {self._title}", next(self._done), len(self.parts))


def _profile(profile: Mapping[str, Any], covered: Sequence[_CoveredTable], warnings: Sequence[str]) -> dict[str, Any]:
    tables = list(profile["tables"])
    for one in covered:
        table = tables[one.place]
        stored = one.stored[BASE].hexdigest() if BASE in one.stored else table["digest"]["stored"]
        tables[one.place] = {
            **table,
            "digest": {**table["digest"], "stored": stored},
            "columns": [
                {**column, "policy": Tokenize.name} if column["name"] in one.columns else column
                for column in table["columns"]
            ],
            "detected": {**table["detected"], **one.columns},
        }
    return {**profile, "tables": tables, "warnings": [*profile["warnings"], *warnings]}


def _add_zone(
    workspace: Workspace, staged: Mapping[str, Any], covered: Sequence[_CoveredTable], made: StagedMembers, zone: str
) -> None:
    """The zone's own profile again, where there is one."""
    found = [m for m in staged["members"] if (m["name"], m["zone"]) == (ZONE_PROFILE, zone)]
    if not found:
        return
    document = ZoneProfile.load(unpacked(workspace, found[0]), sha256=staged["profiles"][zone], zone=zone).to_dict()
    digests = {one.key: one.stored[zone].hexdigest() for one in covered if zone in one.stored}
    for table in document["tables"]:
        table["stored"] = digests.get((table["schema"], table["name"]), table["stored"])
    made.add(ZONE_PROFILE, ZoneProfile.from_dict(document, ZONE_PROFILE).to_bytes(), zone)


def _add_state(workspace: Workspace, staged: Mapping[str, Any], columns: Columns, made: StagedMembers) -> None:
    """What the next run is told: that these columns are tokenized, so that it goes on with that."""
    found = [member for member in staged["state_members"] if member["name"] == STATE_JSON]
    if not found:
        return
    reference = workspace.reference
    state = ChangeState.load(unpacked(workspace, found[0]), source=reference.source, backup_id=reference.backup_id)
    changed = {}
    for place, kinds in columns.items():
        table, made_of = staged["profile"]["tables"][place], staged["made_of"][place]
        policies = {**made_of["policies"], **dict.fromkeys(kinds, words_of(Tokenize()))}
        changed[table["schema"], table["name"]] = (saved_as(made_of["base"], policies), kinds)
    tables = []
    for one in state.tables:
        identity, kinds = changed.get((one.schema_name, one.name), (one.identity, {}))
        tables.append(one.model_copy(update={"identity": identity, "detected": {**one.detected, **kinds}}))
    made.add(STATE_JSON, state.model_copy(update={"tables": tuple(tables)}).to_bytes())


def _instead(before: Sequence[Mapping[str, Any]], made: Sequence[StagedMember]) -> list[dict[str, Any]]:
    """The members in their order, each as it was made again where it was."""
    again = {(one.name, one.zone): one.to_json() for one in made}
    return [again.get((member["name"], member["zone"]), dict(member)) for member in before]
