"""Seconds of a program on a device, the rates behind them, and where measured ones are kept."""
