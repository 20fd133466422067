"""The command line: one file a command; parse, call, show, map errors to exit codes."""
