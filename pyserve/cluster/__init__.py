"""Models on many machines, with Ray Serve underneath: the only room that knows Ray."""
