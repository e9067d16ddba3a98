"""From a template to machine code in memory: emitting, compiling in child processes, the cache on disk, loading."""
