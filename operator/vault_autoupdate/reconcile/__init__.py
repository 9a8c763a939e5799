"""The flow over one vault: observe, plan, apply, track, report."""
