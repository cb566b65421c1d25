"""Agents as actors: the only part of this package that knows pykka."""
