"""From a query to ranked topics."""
