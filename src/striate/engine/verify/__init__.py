"""Verification that a plan reads the values it should: every kernel call is replayed on a shadow of the memory."""
