"""A zoo of networks, and what `dg.curvature` says of each: right, refused in words, or wrong.

`network` has the register and a network with its batch, `families` the networks themselves,
`reference` and `calls` what is right, `judge` the verdict, `report` the table. The command is
`python -m benchmarks.zoo`.
"""
