"""The measurements of bench/run: a module per sub-command, and what they share."""
