"""What the compiler is measured and checked against: real layers, references, clocks.

Every module with a `main` is a command, `python -m benchmarks.NAME`; README.md lists them.
"""
