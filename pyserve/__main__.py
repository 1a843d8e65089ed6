"""`python -m pyserve`: the command line."""

from pyserve.cli import main

main(prog_name="pyserve")
