"""Rules, how they are applied, and the trace of what was applied."""
