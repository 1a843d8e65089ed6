"""Fleets of replicas in simulated time, chosen among by the fronts' own code."""
