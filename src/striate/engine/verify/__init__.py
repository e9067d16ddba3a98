"""Proof that a plan reads what it means to read: every kernel call's addresses, replayed on a shadow of the memory."""
