"""What must happen when a call to Azure meets a fault: the tests try it, and a page shows it."""
