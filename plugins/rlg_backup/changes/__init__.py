"""What changed since the parent: rows told apart by where they lie, or by what they are."""
