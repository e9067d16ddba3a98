"""The rules, one family per file. A new rule is one class in its family's file; no list is edited."""
