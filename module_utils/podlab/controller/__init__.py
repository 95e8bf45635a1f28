"""What only the machine that runs the playbook does: it reads files, with libraries that hosts lack."""
