"""Passes that replace steps of a program by cheaper ones of the same value."""
