"""Compiled functions: options, values by name, one program for each signature of shapes."""
