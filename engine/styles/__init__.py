"""The style packs that ship: one folder each."""
