"""The live page: its record, and the module that draws it in a report, a notebook and `striate lab`."""
