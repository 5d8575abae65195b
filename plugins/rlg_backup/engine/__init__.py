"""The use cases: backup, verify, restore, drill. The only layer where drivers, format and catalog meet."""
