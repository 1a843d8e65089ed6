"""Fleets of replicas: in simulated time by the fronts' own code, and on Ray (`live.py`)."""
