"""The policies of one table, applied to its rows as they stream by, and undone at a restore."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from ..core.errors import FormatUnsupported, KeyUnavailable, MemberDamaged, PolicyMismatch
from .actions import Action, Keep, Subject
from .forms import ROLE, SPANS, TOKEN, UTF8, form_of, from_plaintexts, in_form, in_rows
from .spans import plain, tokens_in
from .tokens import PREFIX_SIZE, VERSION, TokenDamaged, TokenKey
from .values import binaries


class Policies:
    """What happens to the columns of ``table`` (columns without an action are kept).

    ``key`` is the 32-byte tokenization key, None when no action needs it; ``nullable`` says which columns
    allow NULL (those not in it do); ``old_keys`` turn back what was made with others. Raises KeyMalformed for a key
    of another size.
    """

    def __init__(
        self,
        table: str,
        actions: Mapping[str, Action],
        key: bytes | None,
        nullable: Mapping[str, bool],
        old_keys: Sequence[bytes] = (),
    ) -> None:
        self.table = table
        self._actions = {name: action for name, action in actions.items() if not isinstance(action, Keep)}
        self._key = TokenKey(key) if key is not None else None
        self._known = [*([self._key] if self._key else []), *map(TokenKey, old_keys)]
        self._nullable = dict(nullable)

    @property
    def declared(self) -> list[str]:
        """Columns under a policy other than keep, sorted: those whose original values are personal."""
        return sorted(self._actions)

    @property
    def irreversible(self) -> list[str]:
        """Columns whose values no key brings back, sorted."""
        return sorted(name for name, action in self._actions.items() if not action.reversible)

    @property
    def tokenized(self) -> list[str]:
        """Columns the tokenization key brings back, sorted."""
        return sorted(name for name, action in self._actions.items() if action.reversible)

    def check(self, columns: Collection[str]) -> None:
        """Before anything is read: every policy has its column (else PolicyMismatch) and its key
        (else KeyUnavailable)."""
        for name, action in sorted(self._actions.items()):
            if name not in columns:
                raise self._no_column(name)
            if action.keyed:
                Subject(self._label(name), pa.field(name, pa.null()), True, self._key).required_key()

    def apply(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The rows as they are stored: as many, in the same order, other columns untouched; dropped ones are not there.

        Raises PolicyMismatch when a policy has no column, or one of a type or size it cannot handle;
        KeyUnavailable when there is no key for it.
        """
        fields, arrays, met = [], [], set()
        for field, values in zip(batch.schema, batch.columns, strict=True):
            action = None if ROLE in (field.metadata or {}) else self._actions.get(field.name)
            if action is not None:
                met.add(field.name)
                stored = action.apply(self._subject(field), values)
                if stored is None:
                    continue
                field, values = stored
            fields.append(field)
            arrays.append(values)
        for name in sorted(set(self._actions) - met):
            raise self._no_column(name)
        return pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields, batch.schema.metadata))

    def personal(self, batch: pa.RecordBatch) -> Iterator[tuple[str, pa.Array]]:
        """The values of original rows that are to be found nowhere else, by column. Raises as ``apply`` does."""
        for field, values in zip(batch.schema, batch.columns, strict=True):
            action = None if ROLE in (field.metadata or {}) else self._actions.get(field.name)
            found = None if action is None else action.personal(self._subject(field), values)
            if found is not None:
                yield field.name, found

    def reverse(self, batch: pa.RecordBatch, *, only: Collection[str] | None = None) -> pa.RecordBatch:
        """The rows with tokens, and those within texts, as the values they stand for; what is not a token stays, and so
        do columns other than ``only``, where that is given.

        Which columns hold tokens is told by their form, not by the actions, so that a backup made under
        an older configuration comes back. A column takes the narrowest form of its values (text that is
        not UTF-8, and mixed classes: variant; nothing but NULL: null).

        Raises KeyUnavailable for tokens of another key or without one, MemberDamaged for a token that
        does not authenticate, FormatUnsupported for one of a later version.
        """
        fields, arrays = [], []
        for field, values in zip(batch.schema, batch.columns, strict=True):
            form = form_of(field) if only is None or field.name in only else None
            if form == TOKEN:
                field, values = self._reversed(field, values)
            elif form == SPANS:
                field, values = in_form(field, UTF8), self._put_back(field, values)
            fields.append(field)
            arrays.append(values)
        return pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields, batch.schema.metadata))

    def _reversed(self, field: pa.Field, values: pa.Array) -> tuple[pa.Field, pa.Array]:
        label = self._label(field.name)
        encoded = values.dictionary_encode()
        distinct = encoded.dictionary
        if len(distinct) == 0:
            form, _ = from_plaintexts([])
            return in_form(field, form), pa.nulls(len(values))
        key = self._key_for(label, distinct)
        try:
            form, plain = from_plaintexts(key.plaintexts(distinct))
        except (TokenDamaged, ValueError):
            raise MemberDamaged("reverse", label, "a token does not authenticate") from None
        return in_form(field, form), in_rows(form, plain, encoded.indices)

    def _put_back(self, field: pa.Field, values: pa.Array) -> pa.Array:
        label, encoded = self._label(field.name), values.dictionary_encode()
        texts = encoded.dictionary.to_pylist()
        try:
            tokens = tokens_in(texts)
            found: list[bytes] = []
            if tokens:
                column = binaries(tokens)
                found = self._key_for(label, column).plaintexts(column).to_pylist()
            return plain(texts, dict(zip(tokens, found, strict=True))).take(encoded.indices)
        except (TokenDamaged, ValueError):
            raise MemberDamaged("reverse", label, "a token does not authenticate") from None

    def _key_for(self, label: str, tokens: pa.Array) -> TokenKey:
        prefixes = {bytes(prefix) for prefix in pc.binary_slice(tokens, 0, PREFIX_SIZE).unique().to_pylist()}
        if any(prefix[:1] > bytes([VERSION]) for prefix in prefixes):
            raise FormatUnsupported("reverse", label, "its tokens were written by a later version of the format")
        if any(len(prefix) < PREFIX_SIZE or prefix[0] != VERSION for prefix in prefixes):
            raise MemberDamaged("reverse", label, "a value is not a token")
        names = ", ".join(sorted(prefix[1:].hex() for prefix in prefixes))
        if not self._known:
            cause = f"its tokens need the tokenization key {names}... and there is none"
            raise KeyUnavailable("reverse", label, cause, "set 'tokenization.key'")
        for key in self._known:
            if prefixes == {key.prefix}:
                return key
        held = ", ".join(f"{key.prefix[1:].hex()}..." for key in self._known)
        cause = f"its tokens are of the tokenization key {names}..., not of {held}"
        hint = "add the key the backup was made with to 'tokenization.old_keys'"
        raise KeyUnavailable("reverse", label, cause, hint)

    def _subject(self, field: pa.Field) -> Subject:
        return Subject(self._label(field.name), field, self._nullable.get(field.name, True), self._key)

    def _label(self, name: str) -> str:
        return f"{self.table}.{name}"

    def _no_column(self, name: str) -> PolicyMismatch:
        return PolicyMismatch(
            "anonymize", self._label(name), "the table has no such column", "correct or remove the policy"
        )
