"""Services: their addresses, their endpoints, and what is remembered of them."""
