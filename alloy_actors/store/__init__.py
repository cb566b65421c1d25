"""Stores: where the journals of agents are kept."""
