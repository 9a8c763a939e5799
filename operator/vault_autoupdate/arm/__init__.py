"""All of Azure: the only HTTP to Azure Resource Manager."""
