"""`pyserve._native` of a wheel: gives way to the extension module for this machine's CPU."""

from pyserve.engine.levels import load_native

load_native(__name__)
