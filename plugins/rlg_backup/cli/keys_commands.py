"""keys generate: makes keys, and says who is to hold each."""

from __future__ import annotations

from pathlib import Path

import click

from ..core.errors import DestinationUnsuitable
from ..core.private import create_private
from .output import Output

CUSTODY = {
    "identity": "Opens every backup made to its recipient. Restore workers only; never on a backup worker.",
    "escrow": "Opens every backup too. Offline, in a safe: it is the way back when all workers are lost.",
    "signing": "Makes backups believable. Backup workers only; its public half goes into signing.trusted.",
    "tokenization": "Turns tokens back into values. Backup and restore workers; lost, tokenized columns stay tokens.",
    "erasure": "Finds who asked to be forgotten. Where requests are recorded, and restore workers; keep old ones, too.",
    "state": "Opens what a backup notes for the next one, no archive. Backup workers only; lost, a full one is made.",
    "staging": "Encrypts what a worker has in staging. One for each worker, never copied, never backed up.",
}


@click.group()
def keys() -> None:
    """Make keys."""


@keys.command("generate")
@click.argument("what", type=click.Choice(sorted(CUSTODY)))
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="A new file, mode 600.  [default: print]")
@click.option("--post-quantum", is_flag=True, help="identity, escrow, state: ML-KEM-768 with X25519; by hand age 1.3.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")
def generate(what: str, out: Path | None, post_quantum: bool, as_json: bool) -> int:
    """Make a key of one kind: identity, escrow, state, signing, tokenization, erasure or staging.

    Example: rlg-backup keys generate identity --out keys/identity.txt
    """
    output = Output(as_json)
    secret, public = make(what, post_quantum)
    if out is None:
        output.say(secret)
    else:
        write_key(out, what, secret, public)
        output.say(f"wrote {out}")
    output.say(f"public: {public}" if public else "")
    output.say(CUSTODY[what], "yellow")
    output.data({"kind": what, "file": str(out) if out else None, "secret": None if out else secret, "public": public})
    return 0


def make(what: str, post_quantum: bool = False) -> tuple[str, str | None]:
    """A new key's text and its public half, where it has one."""
    from ..format.age import generate_identity
    from ..format.keys import ErasureKey, SigningKey, StagingKey, TokenizationKey

    if what in ("identity", "escrow", "state"):
        identity = generate_identity(post_quantum=post_quantum)
        return identity.text, identity.recipient.text
    if what == "signing":
        key = SigningKey.generate()
        return key.text, key.signer.text
    secrets = {"tokenization": TokenizationKey, "erasure": ErasureKey, "staging": StagingKey}
    return secrets[what].generate().text, None


def write_key(path: Path, what: str, secret: str, public: str | None) -> None:
    """A key file of mode 600; raises DestinationUnsuitable rather than write over one."""
    lines = [f"# {CUSTODY[what]}", *([f"# public: {public}"] if public else []), secret, ""]
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with create_private(path) as file:
            file.write("\n".join(lines).encode())
    except FileExistsError:
        raise DestinationUnsuitable(
            "write", str(path), "there is a file already", "keys are never written over"
        ) from None
    except OSError as error:
        raise DestinationUnsuitable("write", str(path), (error.strerror or "the system refuses").lower()) from None
