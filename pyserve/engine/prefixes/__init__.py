"""What of a prompt its computed prefix depends on, and what an engine holds of such."""
