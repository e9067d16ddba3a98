"""The JSON of every command, key by key; docs/json.md is generated from it (page.py)."""
