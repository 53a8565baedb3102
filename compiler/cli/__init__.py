"""The command line: one file for each command, and modules that they share.

The library never imports it.
"""
