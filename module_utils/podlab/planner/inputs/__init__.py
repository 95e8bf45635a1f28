"""What a plan is made of: settings, hosts, and what is observed on them."""
