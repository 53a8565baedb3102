"""Values that flow through the compiler: scalars, relations, diagrams, and their text."""
