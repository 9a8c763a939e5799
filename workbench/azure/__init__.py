"""What stands in for Azure beside the simulator."""
