"""ARM's JSON: from documents to values, and back."""
