"""The flow of a policy: find vaults, plan, look, plan again, apply, report."""
