"""The only HTTP to Azure: session, credential, typed calls, clouds."""
