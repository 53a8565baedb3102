"""The command line: one file a command, and what they share.

The library never imports it.
"""
