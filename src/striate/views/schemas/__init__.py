"""What the JSON of every command holds, key by key; docs/json.md is printed from here (page.py)."""
