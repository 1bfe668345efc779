"""One module a tool: each trains the trials of a case in a process of its own and writes what it took as JSON."""
